//! The required actions of a session: what is published of them, and what people have to decide.

use serde_json::{Map, Value};

/// Maximum size of the published actions together, in bytes of JSON. An outcome has room for 32 KiB.
const MAX_PUBLISHED: usize = 16 * 1024;

/// The field that marks an action with fields left out.
const INCOMPLETE: &str = "incomplete";

/// The kinds of action that a person decides.
const APPROVALS: [&str; 2] = ["mcp_approval_request", "computer_use_approval_request"];

/// The published actions.
pub(crate) struct Published {
    pub(crate) actions: Vec<Value>,
    /// Number of actions that did not fit at all.
    pub(crate) left_out: usize,
}

/// Fields that programs need to act, as far as they fit: first the ids of every action, then the fields that can be large, each
/// action's complete or left out. The session's artifact has everything.
pub(crate) fn published(actions: &[Value]) -> Published {
    let mut left = MAX_PUBLISHED;
    let mut kept: Vec<(Map<String, Value>, Map<String, Value>)> = Vec::new();
    for (ids, rest) in actions.iter().filter_map(Value::as_object).map(split) {
        let size = size(&Value::Object(ids.clone())) + INCOMPLETE.len() + 10;
        if size <= left {
            left -= size;
            kept.push((ids, rest));
        }
    }
    let left_out = actions.len() - kept.len();
    let mut complete = |(mut action, rest): (Map<String, Value>, Map<String, Value>)| {
        let size = size(&Value::Object(rest.clone()));
        if size <= left {
            left -= size;
            action.extend(rest);
        } else {
            action.insert(INCOMPLETE.to_owned(), true.into());
        }
        Value::Object(action)
    };
    Published { actions: kept.into_iter().map(&mut complete).collect(), left_out }
}

/// An action's ids, and the other fields that are needed to act. Of an unknown kind of action that is every field,
/// except for URLs to connect to, which may contain credentials.
fn split(action: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let (ids, rest): (&[&str], &[&str]) = match action.get("type").and_then(Value::as_str) {
        Some("function_call") => (&["type", "call_id", "turn_id", "name"], &["arguments"]),
        Some("environment_connection") => (&["type", "environment_id"], &[]),
        Some(kind) if APPROVALS.contains(&kind) => (&["type", "request_id", "turn_id"], &["request"]),
        _ => {
            let (ids, mut rest): (Map<_, _>, Map<_, _>) =
                action.clone().into_iter().partition(|(name, _)| name == "type");
            rest.values_mut().for_each(without_urls);
            rest.remove("remote_url");
            return (ids, rest);
        }
    };
    let pick = |names: &[&str]| {
        names.iter().filter_map(|name| Some(((*name).to_owned(), action.get(*name)?.clone()))).collect()
    };
    (pick(ids), pick(rest))
}

fn without_urls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("remote_url");
            fields.values_mut().for_each(without_urls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_urls),
        _ => {}
    }
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// Whether an action of this kind is listed; without a kind, whether any action is.
pub(crate) fn is_listed(actions: &[Value], kind: Option<&str>) -> bool {
    actions.iter().any(|action| kind.is_none() || kind == type_of(action))
}

/// The decisions that people have to make, one sentence each, without the arguments of tools. If the event announces a
/// kind of action, only that kind: every other kind has an event of its own.
pub(crate) fn decisions(actions: &[Value], announced: Option<&str>) -> Vec<String> {
    let waits = |action: &&Value| {
        type_of(action).is_some_and(|kind| APPROVALS.contains(&kind) && announced.is_none_or(|other| other == kind))
    };
    actions.iter().filter(waits).map(decision).collect()
}

fn type_of(action: &Value) -> Option<&str> {
    action.get("type").and_then(Value::as_str)
}

fn decision(action: &Value) -> String {
    let text = |name: &str| {
        let field = action.get("request").and_then(|request| request.get(name)).and_then(Value::as_str);
        field.map(hooks_openai::for_display)
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
    use serde_json::json;

    use super::*;

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
        let published = published(&actions);
        assert_eq!(
            published.actions,
            [
                actions[0].clone(),
                json!({"type": "environment_connection", "environment_id": "env_1"}),
                approval,
                json!({"type": "dance", "with": {"whom": ["you"]}}),
            ]
        );
        assert_eq!(published.left_out, 0);
    }

    #[test]
    fn large_arguments_are_left_out_before_any_id() {
        let large = json!("x".repeat(MAX_PUBLISHED));
        let published = published(&[call("call_1", &large), call("call_2", &json!({"amount": 3}))]);
        let mut slim = call("call_1", &large);
        slim.as_object_mut().unwrap().remove("arguments");
        slim["incomplete"] = true.into();
        assert_eq!(published.actions, [slim, call("call_2", &json!({"amount": 3}))]);
    }

    #[test]
    fn any_number_of_actions_stays_within_the_maximum_size() {
        let many: Vec<Value> = (0..1000).map(|n| call(&format!("call_{n}"), &json!({"n": n}))).collect();
        let published = published(&many);
        assert!(published.actions.len() > 50 && published.actions.len() + published.left_out == 1000);
        assert!(json!(published.actions).to_string().len() <= MAX_PUBLISHED + 1000);
        let huge = json!({"type": "x".repeat(MAX_PUBLISHED), "n": 1});
        assert_eq!(super::published(&[huge, json!(7)]).left_out, 2);
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
        assert_eq!(decisions(&actions, None), all);
        assert_eq!(decisions(&actions, Some("computer_use_approval_request")), all[1..]);
        assert!(decisions(&actions, Some("function_call")).is_empty());
    }
}
