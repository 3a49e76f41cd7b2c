//! What a session waits for.

use serde_json::{Map, Value};

/// What the published actions may take together, as JSON. An outcome has room for 32 KiB.
const ROOM: usize = 16 * 1024;

/// What marks an action that lacks some of its fields.
const INCOMPLETE: &str = "incomplete";

/// The kinds that a person decides about.
const APPROVALS: [&str; 2] = ["mcp_approval_request", "computer_use_approval_request"];

/// The actions as they are published.
pub(crate) struct Published {
    pub(crate) actions: Vec<Value>,
    /// How many there was no room for at all.
    pub(crate) left_out: usize,
}

/// What it takes to act, as far as it fits. First every action gets its ids; then those fields that can be large,
/// whole or not at all. Whatever is left out is in the session's artifact.
pub(crate) fn published(actions: &[Value]) -> Published {
    let mut room = ROOM;
    let mut kept: Vec<(Map<String, Value>, Map<String, Value>)> = Vec::new();
    for (ids, rest) in actions.iter().filter_map(Value::as_object).map(split) {
        let size = size(&Value::Object(ids.clone())) + INCOMPLETE.len() + 10;
        if size <= room {
            room -= size;
            kept.push((ids, rest));
        }
    }
    let left_out = actions.len() - kept.len();
    let mut complete = |(mut action, rest): (Map<String, Value>, Map<String, Value>)| {
        let size = size(&Value::Object(rest.clone()));
        if size <= room {
            room -= size;
            action.extend(rest);
        } else {
            action.insert(INCOMPLETE.to_owned(), true.into());
        }
        Value::Object(action)
    };
    Published { actions: kept.into_iter().map(&mut complete).collect(), left_out }
}

/// An action's ids, and the rest of what it takes to act. All there is of an action that nobody has seen yet, except
/// for a URL to connect to, which may hold credentials.
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

/// Whether an action of this kind is listed; of no kind in particular, whether any is.
pub(crate) fn is_listed(actions: &[Value], kind: Option<&str>) -> bool {
    actions.iter().any(|action| kind.is_none() || kind == type_of(action))
}

/// What waits for a person's decision, in words. No arguments of tools: those are the agent's business with its user.
/// Only the kind that was announced, if that is known: others have an announcement of their own.
pub(crate) fn for_people(actions: &[Value], announced: Option<&str>) -> Vec<String> {
    let waits = |action: &&Value| {
        type_of(action).is_some_and(|kind| APPROVALS.contains(&kind) && announced.is_none_or(|other| other == kind))
    };
    actions.iter().filter(waits).map(in_words).collect()
}

fn type_of(action: &Value) -> Option<&str> {
    action.get("type").and_then(Value::as_str)
}

fn in_words(action: &Value) -> String {
    let said = |name: &str| {
        let text = action.get("request").and_then(|request| request.get(name)).and_then(Value::as_str);
        text.map(hooks_openai::for_display)
    };
    let known = |name: &str, otherwise: &str| said(name).unwrap_or_else(|| otherwise.to_owned());
    let because = said("reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
    match said("type").as_deref() {
        Some("mcp_tool_call") => format!(
            "may the tool {} of the MCP server {} be called?",
            known("name", "of unknown name"),
            known("server_label", "of unknown name")
        ),
        Some("browser_authentication") => {
            format!("a sign-in at {}{because}", known("credential_origin", "a site that OpenAI does not name"))
        }
        Some("browser_origin_access") => {
            format!("may the browser open {}?{because}", known("origin", "a site that OpenAI does not name"))
        }
        _ => format!("an approval of a new kind, {}", known("type", "which OpenAI does not name")),
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
    fn each_kind_is_published_with_what_it_takes_to_act() {
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
    fn large_arguments_give_way_to_the_ids_of_all() {
        let large = json!("x".repeat(ROOM));
        let published = published(&[call("call_1", &large), call("call_2", &json!({"amount": 3}))]);
        let mut slim = call("call_1", &large);
        slim.as_object_mut().unwrap().remove("arguments");
        slim["incomplete"] = true.into();
        assert_eq!(published.actions, [slim, call("call_2", &json!({"amount": 3}))]);
    }

    #[test]
    fn however_many_there_are_they_stay_within_their_room() {
        let many: Vec<Value> = (0..1000).map(|n| call(&format!("call_{n}"), &json!({"n": n}))).collect();
        let published = published(&many);
        assert!(published.actions.len() > 50 && published.actions.len() + published.left_out == 1000);
        assert!(json!(published.actions).to_string().len() <= ROOM + 1000);
        let huge = json!({"type": "x".repeat(ROOM), "n": 1});
        assert_eq!(super::published(&[huge, json!(7)]).left_out, 2);
    }

    #[test]
    fn people_are_told_what_to_decide_and_no_arguments() {
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
        assert_eq!(for_people(&actions, None), all);
        assert_eq!(for_people(&actions, Some("computer_use_approval_request")), all[1..]);
        assert!(for_people(&actions, Some("function_call")).is_empty());
    }
}
