//! The events that an endpoint can subscribe to through `/v1`, and a sample of each.

use serde_json::{Value, json};

use super::event::Event;
use crate::ids::hex_id;

/// Not among them: `live.*`, which takes the dashboard, and what goes to an organization.
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

/// An event about an object that isn't there.
pub(super) fn sample(event_type: &str) -> Event {
    Event::of(event_type.to_owned(), &data(event_type))
}

fn data(event_type: &str) -> Value {
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
