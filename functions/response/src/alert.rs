//! What a person is told about a response that went wrong.

use hooks_consumer::artifacts::Key;
use hooks_consumer::{Alert, Event, Severity, when};
use hooks_openai::{Response, ResponseStatus};

use crate::outcome::what_went_wrong;

/// Where people see their responses.
const DASHBOARD: &str = "https://platform.openai.com/logs";

/// An alert for a response that failed.
pub(crate) fn failed(response: &Response, bucket: &str, key: &Key) -> Option<Alert> {
    if response.status != ResponseStatus::Failed {
        return None;
    }
    let Response { id, model, created_at, .. } = response;
    let model = hooks_openai::for_display(model.as_deref().unwrap_or("an unknown model"));
    let why = what_went_wrong(response).unwrap_or_else(|| "OpenAI does not say".to_owned());
    let created = created_at.map_or_else(|| "unknown".to_owned(), when::moment);
    let message = format!(
        "Response {id} failed.\n\n\
         What   a background response of {model}\n\
         When   created {created}\n\
         Why    {why}\n\
         To do  Create it again if its result is still wanted; correct the request first if the reason lies there.\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Response {id} failed"), message })
}

/// An alert for a response that could not be retrieved because OpenAI does not have it, `age` seconds after its event.
pub(crate) fn gone(event: &Event, id: &str, age: i64) -> Alert {
    let (kind, created, age) = (&event.event_type, when::moment(event.created_at), when::duration(age));
    let message = format!(
        "OpenAI has no response {id}, so nothing of it could be kept.\n\n\
         What   {kind}\n\
         When   the event was created {created}, {age} before we asked\n\
         Why    A test delivery names a response that never was. Otherwise: projects without data retention keep a \
         background response for about ten minutes only, somebody deleted it, or the API key is another project's.\n\
         To do  Nothing after a test. If it came late, see in the log what kept it from being handled at once; create \
         the response again if its result is still wanted.\n\
         Where  {DASHBOARD}/{id}\n"
    );
    Alert { severity: Severity::Warning, subject: format!("Response {id} is gone"), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_learns_what_is_gone_and_why_that_may_be() {
        let event = r#"{"id": "evt_1", "type": "response.failed", "created_at": 1795230915, "data": {"id": "resp_1"}}"#;
        let alert = gone(&Event::parse(event).unwrap(), "resp_1", 660);
        assert_eq!(alert.subject, "Response resp_1 is gone");
        for words in ["response.failed", "2026-11-21T03:15:15Z, 11 min before", "ten minutes only", "/resp_1\n"] {
            assert!(alert.message.contains(words), "{words} is not in {}", alert.message);
        }
    }
}
