//! The required actions of a session: what is published of them, and what people have to decide.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hooks_openai::Json;
use serde_json::value::{RawValue, to_raw_value};

/// Maximum size of the published actions together, in bytes of JSON. An outcome has room for 32 KiB.
const MAX_PUBLISHED: usize = 16 * 1024;

/// The field that marks an action with fields left out.
const INCOMPLETE: &str = "incomplete";

/// The kinds of action that a person decides.
const APPROVALS: [&str; 2] = ["mcp_approval_request", "computer_use_approval_request"];

/// The published actions.
pub(crate) struct Published {
    /// As JSON, in which numbers keep their digits.
    pub(crate) actions: Box<RawValue>,
    /// Number of actions that did not fit at all.
    pub(crate) left_out: usize,
}

/// An action's fields, by name.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Fields that programs need to act, as far as they fit: first the ids of every action, then the fields that can be large, each
/// action's complete or left out. The session's artifact has everything.
pub(crate) fn published(actions: &[Json<'_>]) -> Published {
    let mut left = MAX_PUBLISHED;
    let mut kept: Vec<(Fields, Option<Fields>)> = Vec::new();
    for (ids, rest) in actions.iter().filter_map(|action| split(*action)) {
        let size = size(&ids) + INCOMPLETE.len() + 10;
        if size <= left {
            left -= size;
            kept.push((ids, rest));
        }
    }
    let left_out = actions.len() - kept.len();
    let complete = |(mut action, rest): (Fields, Option<Fields>)| {
        match rest.map(|rest| (size(&rest), rest)) {
            Some((size, rest)) if size <= left => {
                left -= size;
                action.extend(rest);
            }
            _ => drop(action.insert(INCOMPLETE.to_owned(), RawValue::TRUE.to_owned())),
        }
        action
    };
    let actions: Vec<Fields> = kept.into_iter().map(complete).collect();
    Published { actions: to_raw_value(&actions).unwrap_or_else(|_| RawValue::NULL.to_owned()), left_out }
}

/// An action's ids, and the other fields that are needed to act, if they are not much too large. Of an unknown kind of
/// action that is every field, except for URLs to connect to, which may contain credentials.
fn split(action: Json<'_>) -> Option<(Fields, Option<Fields>)> {
    let (ids, rest): (&[&str], &[&str]) = match action.get("type").and_then(Json::text).as_deref() {
        Some("function_call") => (&["type", "call_id", "turn_id", "name"], &["arguments"]),
        Some("environment_connection") => (&["type", "environment_id"], &[]),
        Some(kind) if APPROVALS.contains(&kind) => (&["type", "request_id", "turn_id"], &["request"]),
        _ if !action.is_object() => return None,
        _ => {
            let rest =
                action.exact_without("remote_url").and_then(|all| serde_json::from_str::<Fields>(all.get()).ok());
            let without_type = |mut rest: Fields| {
                rest.remove("type");
                rest
            };
            return Some((pick(action, &["type"])?, rest.map(without_type)));
        }
    };
    Some((pick(action, ids)?, pick(action, rest)))
}

/// The fields with these names, as far as the action has them; `None` when one is too large.
fn pick(action: Json<'_>, names: &[&str]) -> Option<Fields> {
    let fields = names.iter().filter_map(|name| Some((*name, action.get(name)?)));
    fields.map(|(name, value)| Some((name.to_owned(), value.exact()?))).collect()
}

fn size(fields: &Fields) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum()
}

/// Whether an action of this kind is listed; without a kind, whether any action is.
pub(crate) fn is_listed(actions: &[Json<'_>], kind: Option<&str>) -> bool {
    actions.iter().any(|action| kind.is_none() || kind == type_of(*action).as_deref())
}

/// The decisions that people have to make, one sentence each, without the arguments of tools. If the event announces a
/// kind of action, only that kind: every other kind has an event of its own.
pub(crate) fn decisions(actions: &[Json<'_>], announced: Option<&str>) -> Vec<String> {
    let waits = |action: &&Json<'_>| {
        type_of(**action)
            .is_some_and(|kind| APPROVALS.contains(&kind.as_ref()) && announced.is_none_or(|other| other == kind))
    };
    actions.iter().filter(waits).map(|action| decision(*action)).collect()
}

fn type_of(action: Json<'_>) -> Option<Cow<'_, str>> {
    action.get("type")?.text()
}

fn decision(action: Json<'_>) -> String {
    let text = |name: &str| {
        let field = action.get("request").and_then(|request| request.get(name)).and_then(Json::text);
        field.map(|text| hooks_openai::for_display(&text))
    };
    let known = |name: &str, otherwise: &str| text(name).unwrap_or_else(|| otherwise.to_owned());
    let because = text("reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
    match text("type").as_deref() {
        Some("mcp_tool_call") => format!(
            "may the tool {} of the MCP server {} be called?",
            known("name", "(unnamed)"),
            known("server_label", "(unnamed)")
        ),
        Some("browser_authentication") => {
            format!("a sign-in at {}{because}", known("credential_origin", "an unnamed site"))
        }
        Some("browser_origin_access") => {
            format!("may the browser open {}?{because}", known("origin", "an unnamed site"))
        }
        _ => format!("an approval of unknown kind: {}", known("type", "(unnamed)")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The published actions, and the number of those left out.
    fn published(actions: &[Value]) -> (Vec<Value>, usize) {
        let texts: Vec<String> = actions.iter().map(Value::to_string).collect();
        let Published { actions, left_out } = super::published(&read(&texts));
        (serde_json::from_str(actions.get()).unwrap(), left_out)
    }

    fn read(texts: &[String]) -> Vec<Json<'_>> {
        texts.iter().map(|text| Json::of(text.as_bytes())).collect()
    }

    fn call(id: &str, arguments: &Value) -> Value {
        json!({"type": "function_call", "call_id": id, "turn_id": "turn_1", "name": "pay", "arguments": arguments})
    }

    #[test]
    fn each_kind_is_published_with_the_fields_needed_to_act() {
        let approval = json!({"type": "mcp_approval_request", "request_id": "r", "turn_id": "t", "request": {"a": 1}});
        let actions = [
            call("call_1", &json!({"amount": 3})),
            json!({"type": "environment_connection", "environment_id": "env_1", "remote_url": "https://key@host"}),
            approval.clone(),
            json!({"type": "dance", "with": {"remote_url": "https://key@host", "whom": ["you"]}}),
        ];
        let (published, left_out) = published(&actions);
        assert_eq!(
            published,
            [
                actions[0].clone(),
                json!({"type": "environment_connection", "environment_id": "env_1"}),
                approval,
                json!({"type": "dance", "with": {"whom": ["you"]}}),
            ]
        );
        assert_eq!(left_out, 0);
    }

    #[test]
    fn large_arguments_are_left_out_before_any_id() {
        let large = json!("x".repeat(MAX_PUBLISHED));
        let (published, _) = published(&[call("call_1", &large), call("call_2", &json!({"amount": 3}))]);
        let mut slim = call("call_1", &large);
        slim.as_object_mut().unwrap().remove("arguments");
        slim["incomplete"] = true.into();
        assert_eq!(published, [slim, call("call_2", &json!({"amount": 3}))]);
        let huge = call("call_1", &json!("x".repeat(100_000)));
        assert_eq!(self::published(&[huge]).0[0]["incomplete"], true);
    }

    #[test]
    fn arguments_keep_their_digits() {
        let action =
            r#"{"type": "function_call", "call_id": "c", "arguments": {"wei": 1000000000000000000001, "x": "\ud83d"}}"#;
        let dance = r#"{"type": "dance", "steps": [18446744073709551617], "remote_url": "https://key@host"}"#;
        let published = super::published(&read(&[action.to_owned(), dance.to_owned()])).actions;
        let expected =
            r#"[{"arguments":{"wei":1000000000000000000001,"x":"\ufffd"},"call_id":"c","type":"function_call"},"#;
        assert_eq!(
            published.get(),
            expected.replace("\\ufffd", "\u{fffd}") + r#"{"steps":[18446744073709551617],"type":"dance"}]"#
        );
    }

    #[test]
    fn any_number_of_actions_stays_within_the_maximum_size() {
        let many: Vec<Value> = (0..1000).map(|n| call(&format!("call_{n}"), &json!({"n": n}))).collect();
        let (kept, left_out) = published(&many);
        assert!(kept.len() > 50 && kept.len() + left_out == 1000);
        assert!(json!(kept).to_string().len() <= MAX_PUBLISHED + 1000);
        let huge = json!({"type": "x".repeat(MAX_PUBLISHED), "n": 1});
        assert_eq!(published(&[huge, json!(7)]).1, 2);
    }

    #[test]
    fn people_learn_what_to_decide_without_the_arguments() {
        let request = json!({
            "type": "mcp_tool_call", "server_label": "bank", "name": "transfer", "arguments": {"to": "secret"},
            "message": "secret",
        });
        let origin = json!({"type": "browser_origin_access", "origin": "https://example.com", "reason": "Prices"});
        let actions = [
            call("call_1", &json!({})),
            json!({"type": "mcp_approval_request", "request_id": "r1", "request": request}),
            json!({"type": "computer_use_approval_request", "request_id": "r2", "request": origin}),
        ];
        let all = [
            "may the tool transfer of the MCP server bank be called?",
            "may the browser open https://example.com? (Prices)",
        ];
        let texts: Vec<String> = actions.iter().map(Value::to_string).collect();
        let actions = read(&texts);
        assert_eq!(decisions(&actions, None), all);
        assert_eq!(decisions(&actions, Some("computer_use_approval_request")), all[1..]);
        assert!(decisions(&actions, Some("function_call")).is_empty());
    }
}
