//! The tools of a supervised session, as the model gets them.

use hooks_webhook::CallApi;
use serde_json::{Map, Value, json};

use crate::supervise::{BuiltIn, Supervise};

/// Adds the tools that a supervisor runs to the configuration of a session.
///
/// A Realtime session has them in `tools`; a Live session in those of its Responses backend, which `delegation` must have.
///
/// # Errors
///
/// The reason why the session cannot call them.
pub fn add_tools(api: CallApi, session: &mut Map<String, Value>, settings: &Supervise) -> Result<(), &'static str> {
    let tools = definitions(settings);
    if tools.is_empty() {
        return Ok(());
    }
    let holder = match api {
        CallApi::Realtime => Some(session),
        CallApi::Live => session
            .get_mut("delegation")
            .and_then(|delegation| delegation.get_mut("responses"))
            .and_then(Value::as_object_mut),
    };
    let holder = holder.ok_or("the session has no delegation to a Responses backend, so its tools cannot be called")?;
    if let Value::Array(all) = holder.entry("tools").or_insert_with(|| Value::Array(Vec::new())) {
        all.extend(tools);
    }
    Ok(())
}

/// The definitions of the tools, for the model.
fn definitions(settings: &Supervise) -> Vec<Value> {
    let own = settings.tools.iter().map(|tool| function(&tool.name, &tool.description, &json!(tool.parameters)));
    let built_in = settings.built_in.iter().map(|tool| {
        let (description, properties, required) = match tool {
            BuiltIn::HangUp => ("Ends the call. Say goodbye before.".to_owned(), json!({}), json!([])),
            BuiltIn::Transfer => {
                let targets = settings.transfer.as_ref().map(|it| it.targets.as_slice()).unwrap_or_default();
                let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
                let listed = targets.iter().map(|target| format!(" {}: {}", target.name, target.description));
                let description = format!("Transfers the caller.{}", listed.collect::<Vec<_>>().join(";"));
                (description, json!({"target": {"type": "string", "enum": names}}), json!(["target"]))
            }
            BuiltIn::CollectDigits => (
                "Collects digits that the caller enters with the keys of the telephone. Ask for them before."
                    .to_owned(),
                json!({"length": {"type": "integer", "description": "Number of digits, if it is known"}}),
                json!([]),
            ),
            BuiltIn::LookUp => (
                "Looks up what is known of a phone number, by default the caller's.".to_owned(),
                json!({"number": {"type": "string", "description": "Another number than the caller's"}}),
                json!([]),
            ),
            BuiltIn::LeaveNote => (
                "Leaves a note for the people of this organization.".to_owned(),
                json!({"note": {"type": "string"}}),
                json!(["note"]),
            ),
        };
        let parameters = json!({"type": "object", "properties": properties, "required": required});
        function(tool.as_str(), &description, &parameters)
    });
    own.chain(built_in).collect()
}

fn function(name: &str, description: &str, parameters: &Value) -> Value {
    json!({"type": "function", "name": name, "description": description, "parameters": parameters})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Supervise {
        let settings = json!({
            "tools": [{"name": "orders", "description": "Finds an order", "url": "https://example.com/tool"}],
            "built_in": ["hang_up", "transfer", "collect_digits", "look_up", "leave_note"],
            "transfer": {"targets": [{"name": "sales", "description": "buying", "target_uri": "tel:+49301234567"}]},
        });
        serde_json::from_value(settings).unwrap()
    }

    fn added(
        api: CallApi,
        mut session: Map<String, Value>,
        settings: &Supervise,
    ) -> Result<Map<String, Value>, &'static str> {
        add_tools(api, &mut session, settings).map(|()| session)
    }

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_realtime_session_gets_the_tools_beside_its_own() {
        let session = object(&json!({"model": "m", "tools": [{"type": "mcp"}]}));
        let session = added(CallApi::Realtime, session, &settings()).unwrap();
        let names: Vec<_> = session["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str()).collect();
        let expected = ["orders", "hang_up", "transfer", "collect_digits", "look_up", "leave_note"];
        assert_eq!(names[0], None);
        assert_eq!(names[1..].iter().map(|name| name.unwrap()).collect::<Vec<_>>(), expected);
        let transfer = &session["tools"][3];
        assert_eq!(transfer["parameters"]["properties"]["target"]["enum"], json!(["sales"]));
        assert!(!transfer.to_string().contains("+49"), "the model needs no number");
    }

    #[test]
    fn a_live_session_gets_the_tools_in_its_backend() {
        let delegation = json!({"type": "responses", "responses": {"model": "gpt-6-luna"}});
        let session = object(&json!({"model": "gpt-live-1", "delegation": delegation}));
        let session = added(CallApi::Live, session, &settings()).unwrap();
        assert_eq!(session["delegation"]["responses"]["tools"].as_array().unwrap().len(), 6);
        let without = object(&json!({"model": "gpt-live-1"}));
        assert!(added(CallApi::Live, without, &settings()).is_err());
    }

    #[test]
    fn without_tools_a_session_stays_as_it_is() {
        let session = object(&json!({"model": "m"}));
        assert_eq!(added(CallApi::Realtime, session.clone(), &Supervise::default()).unwrap(), session);
    }
}
