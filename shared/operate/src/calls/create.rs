//! Sessions that begin with a request: a call that OpenAI makes, or one of a browser.

use std::time::Duration;

use hooks_aws::ledger::{Ledger, NewSession};
use hooks_aws::queue::QueueSender;
use hooks_aws::supervisors::{FIRST_LOOK, first_start, watchdog};
use hooks_openai::{Client, ClientSecret};
use hooks_policy::{Action, BuiltIn, Policy, Supervise, add_tools, masked_address};
use hooks_webhook::CallApi;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{OperateError, Result};

/// A session that shall begin.
#[derive(Clone)]
pub struct NewCall {
    /// Its API.
    pub api: CallApi,
    /// Its configuration, as in the `accept` of a policy.
    pub session: Map<String, Value>,
    /// Live: `{"type": "webrtc", "sdp": ...}` or `{"type": "sip", ...}`, as OpenAI documents it. Realtime: none.
    pub transport: Option<Value>,
    /// How a call that OpenAI makes is supervised, as in the `accept` of a policy.
    pub supervise: Option<Value>,
}

/// What was created.
#[derive(Clone, Debug)]
pub enum Created {
    /// A Live session, with OpenAI's answer about its transport.
    Session {
        /// `live_...`
        id: String,
        /// The SDP answer of a WebRTC session.
        transport: Value,
    },
    /// A secret with which a browser begins a Realtime session.
    Secret(ClientSecret),
}

/// The queue of the stack's supervisors.
pub struct Supervisors<'a> {
    /// The way to queues.
    pub queue: QueueSender,
    /// Its URL.
    pub url: &'a str,
}

/// Checks what can be checked of a session before it is asked for.
pub fn check(new: &NewCall) -> Result<()> {
    let (mut session, settings) = checked(new)?;
    match (new.api, transport_type(new)) {
        (CallApi::Realtime, _) if new.transport.is_some() => {
            Err(OperateError::usage("transport is of Live sessions: a Realtime session gets a client secret"))
        }
        (CallApi::Realtime, _) | (CallApi::Live, Some("webrtc")) => Ok(()),
        (CallApi::Live, Some("sip")) => add_tools(new.api, &mut session, &settings).map_err(OperateError::usage),
        (CallApi::Live, _) => Err(OperateError::usage("transport.type must be webrtc or sip")),
    }
}

/// Creates a session that [`check`] takes. A call that OpenAI makes is recorded and supervised; a session that a browser connects is supervised
/// when OpenAI announces it (`live.transport.connected`). Not idempotent.
///
/// Needs `dynamodb:UpdateItem`, and `sqs:SendMessage` on the queue of the supervisors.
pub async fn create(
    ledger: &Ledger,
    supervisors: &Supervisors<'_>,
    openai: &Client,
    (new, asked_by): (NewCall, &str),
    deadline: Instant,
) -> Result<Created> {
    check(&new)?;
    let (mut session, settings) = checked(&new)?;
    if new.api == CallApi::Realtime {
        return Ok(Created::Secret(openai.create_client_secret(session, deadline).await?));
    }
    let is_call = transport_type(&new) == Some("sip");
    let transport = new.transport.unwrap_or_default();
    if !is_call {
        let made = openai.create_live_session(session, &transport, deadline).await?;
        return Ok(Created::Session { id: made.id, transport: made.transport });
    }
    add_tools(new.api, &mut session, &settings).map_err(OperateError::usage)?;
    let facts = facts(&session, &transport, asked_by);
    let made = openai.create_live_session(session, &transport, deadline).await.map_err(outbound)?;
    let caller = destination(&transport).filter(|_| settings.built_in.contains(&BuiltIn::LookUp));
    supervise(ledger, supervisors, &made.id, (&settings, &facts, caller)).await.map_err(|error| {
        let message = format!("the call {} is made, and nobody supervises it: {}", made.id, error.message);
        OperateError::service(message).hint(format!("End it: openai-webhooks calls hangup {}", made.id))
    })?;
    Ok(Created::Session { id: made.id, transport: json!({"type": "sip"}) })
}

fn transport_type(new: &NewCall) -> Option<&str> {
    new.transport.as_ref()?.get("type")?.as_str()
}

/// The session's configuration and its supervision, by the rules of a policy.
fn checked(new: &NewCall) -> Result<(Map<String, Value>, Supervise)> {
    let mut accept = json!({"session": new.session});
    match &new.supervise {
        Some(_) if transport_type(new) != Some("sip") => {
            let why =
                "supervise is of calls that OpenAI makes; a session of a browser is supervised as the policy says";
            return Err(OperateError::usage(why));
        }
        Some(supervise) => accept["supervise"] = supervise.clone(),
        None => accept["supervise"] = json!({}),
    }
    let policy = json!({"version": 2, "answer_as": new.api.as_str(), "default": {"accept": accept}}).to_string();
    let policy = Policy::parse(policy.as_bytes())
        .map_err(|errors| OperateError::usage(errors.join("\n").replace("default.accept.", "")))?;
    match policy.actions().next() {
        Some((_, Action::Accept { session, supervise: Some(settings), .. })) => {
            Ok((session.clone(), settings.as_ref().clone()))
        }
        _ => Err(OperateError::usage("the session cannot be read")),
    }
}

fn destination(transport: &Value) -> Option<&str> {
    transport.get("destination")?.as_str()
}

fn facts(session: &Map<String, Value>, transport: &Value, asked_by: &str) -> Map<String, Value> {
    let number = transport.pointer("/trunk/caller_number").and_then(Value::as_str);
    let facts = [
        ("kind", Some(CallApi::Live.as_str().into())),
        ("direction", Some("outbound".into())),
        ("from", number.map(masked_address).map(Value::from)),
        ("to", destination(transport).map(masked_address).map(Value::from)),
        ("model", session.get("model").cloned()),
        ("asked_by", Some(asked_by.into())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

async fn supervise(
    ledger: &Ledger,
    supervisors: &Supervisors<'_>,
    id: &str,
    (settings, facts, caller): (&Supervise, &Map<String, Value>, Option<&str>),
) -> Result<()> {
    let api = CallApi::Live.as_str();
    let settings = json!(settings).to_string();
    ledger.open_session(&NewSession { api, id, settings: &settings, event: "", facts, caller }).await?;
    let Supervisors { queue, url } = supervisors;
    queue.send_text(url, &watchdog(api, id), FIRST_LOOK).await?;
    Ok(queue.send_text(url, &first_start(api, id), Duration::ZERO).await?)
}

fn outbound(error: hooks_openai::OpenAiError) -> OperateError {
    if error.code() == Some("outbound_sip_not_enabled") {
        return OperateError::service(error.to_string())
            .hint("OpenAI makes calls for organizations that it has enabled for it: ask your contact at OpenAI.");
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(api: CallApi, session: &Value, transport: Option<Value>, supervise: Option<Value>) -> NewCall {
        NewCall { api, session: session.as_object().cloned().unwrap_or_default(), transport, supervise }
    }

    #[test]
    fn a_session_is_checked_like_that_of_a_policy() {
        let sip = Some(json!({"type": "sip"}));
        let live = json!({"model": "gpt-live-1"});
        let (session, settings) =
            checked(&new(CallApi::Live, &live, sip.clone(), Some(json!({"greeting": "Hi"})))).unwrap();
        assert_eq!((&session["model"], settings.greeting.as_deref()), (&json!("gpt-live-1"), Some("Hi")));
        let refused = |new: &NewCall| checked(new).unwrap_err().message;
        assert!(refused(&new(CallApi::Realtime, &json!({}), None, None)).starts_with("session.model"));
        let faulty = Some(json!({"limits": {"cost_usd": -1}}));
        let message = refused(&new(CallApi::Live, &live, sip, faulty.clone()));
        assert!(message.starts_with("supervise.limits.cost_usd"), "{message}");
        let webrtc = Some(json!({"type": "webrtc", "sdp": "v=0"}));
        assert!(refused(&new(CallApi::Live, &live, webrtc, faulty)).starts_with("supervise is of calls"));
    }

    #[test]
    fn facts_have_no_number() {
        let transport = json!({"type": "sip", "destination": "tel:+49301234589", "trunk": {"caller_number": "+49891234589",
            "auth": {"password": "secret"}}});
        let facts = Value::Object(facts(&Map::new(), &transport, "anna")).to_string();
        assert!(!facts.contains("1234589") && !facts.contains("secret"), "{facts}");
        assert!(facts.contains("+49*******89"), "{facts}");
    }
}
