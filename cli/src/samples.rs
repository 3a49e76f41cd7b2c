//! The sample events of `events/bodies`, compiled in.

use hooks_webhook::Event;
use serde_json::Value;

use crate::timestamp::now;

macro_rules! samples {
    ($($event_type:literal)+) => {
        /// Event type and body of every sample.
        const SAMPLES: &[(&str, &str)] =
            &[$(($event_type, include_str!(concat!("../../events/bodies/", $event_type, ".json")))),+];
    };
}

samples! {
    "agent.environment.expired" "agent.environment.failed" "agent.environment.ready" "agent.environment.suspended"
    "agent.session.action_required" "agent.session.created" "agent.session.failed" "agent.session.idle"
    "agent.session.in_progress" "batch.cancelled" "batch.completed" "batch.expired" "batch.failed"
    "eval.run.canceled" "eval.run.failed" "eval.run.succeeded" "file.processed" "fine_tuning.job.cancelled"
    "fine_tuning.job.failed" "fine_tuning.job.succeeded" "live.call.incoming" "live.transport.connected"
    "live.transport.incoming" "realtime.call.incoming" "response.cancelled" "response.completed" "response.failed"
    "response.incomplete" "safety.alert.created" "safety.deactivation_issued" "safety.org_alert.created"
    "safety.warning_issued" "safety_identifier.blocked" "video.completed" "video.failed"
}

/// Prefix of an event id in the samples, and the length of its hexadecimal rest.
const EVENT_ID: (&str, usize) = ("evt_", 32);

const CREATED_AT: &str = "\"created_at\": ";

/// Event types that have a sample.
pub(crate) fn types() -> impl Iterator<Item = &'static str> {
    SAMPLES.iter().map(|(event_type, _)| *event_type)
}

/// A body of this type as OpenAI would send it now: a new event, about this object or else about a new one.
pub(crate) fn sample(event_type: &str, object: Option<&str>) -> Option<String> {
    let (_, body) = SAMPLES.iter().find(|(known, _)| *known == event_type)?;
    let body = body.trim_end();
    let (before, after) = body.split_once(EVENT_ID.0)?;
    let body = format!("{before}{}{}{}", EVENT_ID.0, random_hex(), after.get(EVENT_ID.1..)?);
    let (before, after) = body.split_once(CREATED_AT)?;
    let rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
    let body = format!("{before}{CREATED_AT}{}{rest}", now());
    let event = Event::parse(&body).ok()?;
    let Some(id) = event.object_id() else { return Some(body.clone()) };
    let object = object.map_or_else(|| fresh(id), str::to_owned);
    Some(body.replace(&Value::from(id).to_string(), &Value::from(object).to_string()))
}

/// An id of the same form, with another end.
fn fresh(id: &str) -> String {
    let (kept, end) = id.split_at(id.rfind(['_', '-']).map_or(0, |at| at + 1));
    let random = random_hex() + &random_hex();
    format!("{kept}{}", random.get(..end.len()).unwrap_or(&random))
}

/// 32 random hexadecimal digits, for ids.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_sample_of_the_repository_is_there() {
        let bodies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/bodies");
        let names = fs::read_dir(bodies).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let kept: BTreeSet<String> = names.map(|name| name.trim_end_matches(".json").to_owned()).collect();
        assert_eq!(kept, types().map(str::to_owned).collect());
    }

    #[test]
    fn a_sample_is_a_new_event_of_now_about_a_new_object_or_the_one_that_is_given() {
        for event_type in types() {
            let [first, second] = [(); 2].map(|()| sample(event_type, None).unwrap());
            let object = |body: &str| Event::parse(body).unwrap().object_id().map(str::to_owned);
            // A blocked safety identifier is not an object of OpenAI's.
            if let (Some(one), Some(other)) = (object(&first), object(&second)) {
                assert_ne!(one, other, "{event_type}");
                assert_eq!(one.len(), other.len(), "{event_type}");
                let given = sample(event_type, Some("batch_1")).unwrap();
                assert_eq!(object(&given).as_deref(), Some("batch_1"), "{event_type}");
            } else {
                assert_eq!(event_type, "safety_identifier.blocked");
            }
            let [first, second]: [Value; 2] = [&first, &second].map(|body| serde_json::from_str(body).unwrap());
            assert_eq!(first["type"], event_type);
            assert_ne!(first["id"], second["id"], "{event_type}");
            assert_eq!(first["id"].as_str().unwrap().len(), 36, "{event_type}");
            assert!(first["created_at"].as_u64().unwrap().abs_diff(now()) < 10, "{event_type}");
        }
    }
}
