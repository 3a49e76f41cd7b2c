//! The start of a session's supervisor.
//!
//! The session is recorded and its watchdog sent off before the call is accepted, so that an accepted call is never without
//! a supervisor for long, whatever dies in between. The supervisor itself is started as soon as OpenAI has accepted.

use std::time::Duration;

use hooks_aws::functions::Functions;
use hooks_aws::ledger::{Ledger, NewSession, RETENTION_DAYS};
use hooks_aws::queue::QueueSender;
use hooks_consumer::{Context, HandlerError, Setup};
use hooks_openai::CallApi;
use hooks_policy::{BuiltIn, Supervise};
use serde_json::{Map, Value, json};

/// Time after which the watchdog looks for the first time.
const FIRST_LOOK: Duration = Duration::from_secs(12);

/// The way to supervisors.
pub(crate) struct Supervisors {
    pub(crate) ledger: Ledger,
    pub(crate) queue: QueueSender,
    pub(crate) queue_url: String,
    pub(crate) functions: Functions,
    /// Name of the function; `None` where containers take the starts from the queue.
    pub(crate) function: Option<String>,
}

/// A session that is to be supervised.
pub(crate) struct Session<'a> {
    pub(crate) api: CallApi,
    pub(crate) id: &'a str,
    pub(crate) settings: &'a Supervise,
    /// Facts for people.
    pub(crate) facts: Map<String, Value>,
    /// Caller's number.
    pub(crate) caller: Option<&'a str>,
}

impl Supervisors {
    /// From `TABLE_NAME`, `SUPERVISOR_QUEUE_URL` and `SUPERVISOR_FUNCTION`.
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let queue_url = setup.environment().required("SUPERVISOR_QUEUE_URL");
        let function = setup.environment().optional("SUPERVISOR_FUNCTION");
        // Without a table the harness has noted the fault.
        let table = setup.environment().optional("TABLE_NAME")?;
        let days = setup.environment().optional("EVENT_RETENTION_DAYS").and_then(|days| days.parse().ok());
        let config = setup.config()?;
        Some(Self {
            ledger: Ledger::new(config, table).keeping(days.unwrap_or(RETENTION_DAYS)),
            queue: QueueSender::new(config),
            queue_url: queue_url?,
            functions: Functions::new(config),
            function,
        })
    }

    /// Records a session and sends its watchdog off. To be done before the call is accepted.
    pub(crate) async fn prepare(&self, session: &Session<'_>, context: &Context) -> Result<(), HandlerError> {
        let Session { api, id, settings, facts, caller } = session;
        let new = NewSession {
            api: api.as_str(),
            id,
            settings: &json!(settings).to_string(),
            event: context.event_key(),
            facts,
            // Only a tool needs it.
            caller: caller.filter(|_| settings.built_in.contains(&BuiltIn::LookUp)),
        };
        let is_new = self.ledger.open_session(&new).await?;
        // A process that died may have recorded the session and not have sent this.
        if is_new || context.attempt > 1 {
            let message = json!({"api": api.as_str(), "id": id}).to_string();
            self.queue.send_text(&self.queue_url, &message, FIRST_LOOK).await?;
        }
        Ok(())
    }

    /// Starts the supervisor. If that fails, the watchdog starts it.
    pub(crate) async fn start(&self, api: CallApi, id: &str) {
        let event = json!({"api": api.as_str(), "id": id, "generation": 1, "accepted": true}).to_string();
        let started = match &self.function {
            Some(function) => self.functions.start(function, &event).await,
            None => self.queue.send_text(&self.queue_url, &event, Duration::ZERO).await,
        };
        if let Err(error) = started {
            tracing::error!("{error}; the watchdog starts it");
        }
    }

    /// Ends the record of a session that was not accepted.
    pub(crate) async fn drop(&self, api: CallApi, id: &str) {
        if let Err(error) = self.ledger.drop_session(api.as_str(), id, "not_accepted").await {
            tracing::warn!("{error}; the watchdog finds that there is no session");
        }
    }
}

/// The configuration of a session with the tools that its supervisor runs.
///
/// A Realtime session has them in `tools`; a Live session in those of its Responses backend, which `delegation` must have.
pub(crate) fn with_tools(api: CallApi, mut session: Map<String, Value>, settings: &Supervise) -> Map<String, Value> {
    let tools = definitions(settings);
    if tools.is_empty() {
        return session;
    }
    let holder = match api {
        CallApi::Realtime => Some(&mut session),
        CallApi::Live => session
            .get_mut("delegation")
            .and_then(|delegation| delegation.get_mut("responses"))
            .and_then(Value::as_object_mut),
    };
    let Some(holder) = holder else {
        tracing::error!("the session has no delegation to a Responses backend, so its tools cannot be called");
        return session;
    };
    if let Value::Array(all) = holder.entry("tools").or_insert_with(|| Value::Array(Vec::new())) {
        all.extend(tools);
    }
    session
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

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_realtime_session_gets_the_tools_beside_its_own() {
        let session = object(&json!({"model": "m", "tools": [{"type": "mcp"}]}));
        let session = with_tools(CallApi::Realtime, session, &settings());
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
        let session = with_tools(CallApi::Live, session, &settings());
        assert_eq!(session["delegation"]["responses"]["tools"].as_array().unwrap().len(), 6);
        let without = object(&json!({"model": "gpt-live-1"}));
        assert_eq!(with_tools(CallApi::Live, without.clone(), &settings()), without);
    }

    #[test]
    fn without_tools_a_session_stays_as_it_is() {
        let session = object(&json!({"model": "m"}));
        assert_eq!(with_tools(CallApi::Realtime, session.clone(), &Supervise::default()), session);
    }
}
