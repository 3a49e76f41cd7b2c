//! Webhook events: their types, and the body of a delivery.

use serde_json::{Value, json};

use super::PROJECT;
use crate::ids::{hex_id, now};

/// The event types that an endpoint can subscribe to through `/v1`. `live.*` and the organization's events need the
/// dashboard.
pub(super) const EVENT_TYPES: [&str; 27] = [
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
    "eval.run.succeeded",
    "eval.run.failed",
    "eval.run.canceled",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
    "realtime.call.incoming",
    "video.completed",
    "video.failed",
    "agent.environment.ready",
    "agent.environment.failed",
    "agent.environment.suspended",
    "agent.environment.expired",
    "agent.session.created",
    "agent.session.action_required",
    "agent.session.in_progress",
    "agent.session.idle",
    "agent.session.failed",
    "safety.alert.created",
];

/// An event, and its body byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) body: String,
    /// The name of the endpoint that it is sent to.
    pub(crate) endpoint: String,
}

impl Event {
    /// An event of now whose `data` is an object's id, like most events.
    pub(crate) fn thin(kind: String, object_id: &str) -> Self {
        Self::with(hex_id("evt_"), kind, now(), &format!(r#"{{"id": {}}}"#, quote(object_id)))
    }

    /// An event of now.
    pub(crate) fn of(kind: String, data: &Value) -> Self {
        Self::at(kind, now(), data)
    }

    pub(crate) fn at(kind: String, created_at: i64, data: &Value) -> Self {
        Self::with(hex_id("evt_"), kind, created_at, &data.to_string())
    }

    /// An event about an object that does not exist.
    pub(super) fn sample(event_type: &str) -> Self {
        Self::of(event_type.to_owned(), &sample_data(event_type))
    }

    /// Key order and spaces as in OpenAI's example; `data` is JSON and is used as given.
    pub(super) fn with(id: String, kind: String, created_at: i64, data: &str) -> Self {
        let body = format!(
            r#"{{"id": {}, "object": "event", "created_at": {created_at}, "type": {}, "data": {data}}}"#,
            quote(&id),
            quote(&kind),
        );
        let endpoint = endpoint_of(&kind).to_owned();
        Self { id, kind, body, endpoint }
    }
}

/// The name of the endpoint that OpenAI sends an event to: two safety events go to the organization's, all others to the
/// project's.
pub(super) fn endpoint_of(event_type: &str) -> &'static str {
    match event_type {
        "safety.warning_issued" | "safety.deactivation_issued" => "organization",
        _ => PROJECT,
    }
}

fn sample_data(event_type: &str) -> Value {
    let family = event_type.rsplit_once('.').map_or(event_type, |(family, _)| family);
    match (family, event_type) {
        ("realtime.call", _) => {
            let header = |name: &str, value: &str| json!({ "name": name, "value": value });
            json!({ "call_id": hex_id("rtc_"), "sip_headers": [
                header("From", "<sip:+14155550100@example.com>"),
                header("To", "<sip:proj_sample@sip.api.openai.com>"),
                header("Call-ID", &hex_id("")),
            ] })
        }
        (_, "agent.session.action_required") => {
            json!({ "id": hex_id("sess_"), "required_action": { "type": "function_call" } })
        }
        ("agent.session", _) => json!({ "id": hex_id("sess_"), "environment_type": "none" }),
        _ => {
            let prefix = match family {
                "batch" => "batch_",
                "response" => "resp_",
                "eval.run" => "evalrun_",
                "fine_tuning.job" => "ftjob-",
                "agent.environment" => "env_",
                "safety.alert" => "alert_",
                _ => "video_",
            };
            json!({ "id": hex_id(prefix) })
        }
    }
}

/// The text as a JSON string.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_openai_s_example_byte_for_byte() {
        let event = Event::with(
            "evt_685c059ae3a481909bdc86819b066fb6".to_owned(),
            "response.completed".to_owned(),
            1_750_861_210,
            r#"{"id": "resp_123"}"#,
        );
        assert_eq!(
            event.body,
            r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#
        );
    }

    #[test]
    fn whatever_an_id_holds_the_body_is_json() {
        let event = Event::with("evt_\"\n".to_owned(), "batch.\u{1}".to_owned(), 1, "null");
        let parsed: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!((&parsed["id"], &parsed["type"]), (&"evt_\"\n".into(), &"batch.\u{1}".into()));
    }
}
