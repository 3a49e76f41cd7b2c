//! Alerts about responses.

use hooks_consumer::artifacts::Key;
use hooks_consumer::object::time_text;
use hooks_consumer::{Alert, Event, Severity, text};
use hooks_openai::{Response, ResponseStatus};

/// OpenAI's page with the responses of a project.
const DASHBOARD: &str = "https://platform.openai.com/logs";

/// The alert for a response that failed; `None` for any other status.
pub(crate) fn failed(response: &Response, why: Option<&str>, bucket: &str, key: &Key) -> Option<Alert> {
    if response.status != ResponseStatus::Failed {
        return None;
    }
    let (id, created) = (&response.id, time_text(response.created_at));
    let model = hooks_openai::for_display(response.model.as_deref().unwrap_or("an unknown model"));
    let why = why.unwrap_or("OpenAI gives no reason");
    let message = format!(
        "Response {id} failed.\n\n\
         What   a background response of {model}\n\
         When   created {created}\n\
         Why    {why}\n\
         To do  Create it again if you still need its result. If the reason lies in the request, correct that first.\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Response {id} failed"), message })
}

/// The alert for a response that OpenAI did not have when it was looked up, `age` seconds after its event.
pub(crate) fn gone(event: &Event, id: &str, age: i64) -> Alert {
    let (kind, created, age) = (&event.event_type, text::moment(event.created_at), text::duration(age));
    let message = format!(
        "OpenAI has no response {id}, so nothing of it was stored.\n\n\
         What   {kind}\n\
         When   the event was created {created}, {age} before it was looked up\n\
         Why    A test delivery names a response that does not exist. Otherwise: a project without data retention keeps \
         a background response for about ten minutes only, somebody deleted it, or the API key belongs to another \
         project.\n\
         To do  Nothing after a test. If the lookup was late, the function's log says what delayed it. Create the \
         response again if you still need its result.\n\
         Where  {DASHBOARD}/{id}\n"
    );
    Alert { severity: Severity::Warning, subject: format!("Response {id} is gone"), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_names_the_response_and_the_possible_reasons() {
        let event = r#"{"id": "evt_1", "type": "response.failed", "created_at": 1795230915, "data": {"id": "resp_1"}}"#;
        let alert = gone(&Event::parse(event).unwrap(), "resp_1", 660);
        assert_eq!(alert.subject, "Response resp_1 is gone");
        for words in ["response.failed", "2026-11-21T03:15:15Z, 11 min before", "ten minutes only", "/resp_1\n"] {
            assert!(alert.message.contains(words), "{words} is not in {}", alert.message);
        }
    }
}
