//! The retrieval of a notice's object, within a time that people can wait for.

use std::time::Duration;

use hooks_consumer::{Context, OpenAi};
use hooks_openai::{Client, ErrorClass, OpenAiError, for_display};
use tokio::time::Instant;

use crate::notice::{Object, Subject};

/// Maximum time for the lookup. OpenAI answers for an object that it has within a second.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Part of the invocation's time that is reserved for the outcome and the alert.
const RESERVE: Duration = Duration::from_secs(2);

/// Why the object is not available.
#[derive(Debug)]
pub(crate) enum LookupError {
    /// OpenAI has no such object.
    NotFound(String),
    /// A retry may succeed.
    Temporary(String),
    /// No retry can succeed: a short code, and the reason with its fix.
    Permanent(&'static str, String),
}

/// Retrieves the subject's object.
pub(crate) async fn look_up(
    openai: &OpenAi,
    subject: Subject,
    id: &str,
    context: &Context,
) -> Result<Object, LookupError> {
    let until = (Instant::now() + TIMEOUT).min(reserved_deadline(context));
    let generation = openai.generation().await;
    let client = || async { openai.client().await.map_err(|failure| LookupError::Temporary(failure.to_string())) };
    let mut answer = retrieve(&client().await?, subject, id, until).await;
    // A refused key may have been rotated since it was read. After a failure the harness would look for a new key and
    // give the event up when there is none. A notice must not be given up, nor wait for a second attempt.
    let refused = matches!(&answer, Err(error) if error.class() == ErrorClass::Unauthorized);
    if refused && openai.replaced(generation).await {
        answer = retrieve(&client().await?, subject, id, until).await;
    }
    answer.map_err(|error| lookup_error(&error, subject))
}

/// The deadline that leaves time for the alert: a handler that is stopped at its own deadline sends none.
pub(crate) fn reserved_deadline(context: &Context) -> Instant {
    context.deadline.checked_sub(RESERVE).unwrap_or(context.deadline)
}

async fn retrieve(client: &Client, subject: Subject, id: &str, until: Instant) -> Result<Object, OpenAiError> {
    match subject {
        Subject::Case => client.safety_case(id, until).await.map(Object::Case),
        _ => client.safety_alert(id, until).await.map(Object::Alert),
    }
}

fn lookup_error(error: &OpenAiError, subject: Subject) -> LookupError {
    let message = error.to_string();
    let (code, fix) = match (error.class(), error.status()) {
        (ErrorClass::Retry, _) => return LookupError::Temporary(message),
        (ErrorClass::NotFound, _) => return LookupError::NotFound(message),
        (ErrorClass::Unauthorized, Some(403)) => {
            ("forbidden", format!("the API key may not read it: it needs {}", subject.permission()))
        }
        (ErrorClass::Unauthorized, _) => ("unauthorized", "the API key is not valid: store a valid one".to_owned()),
        (ErrorClass::QuotaExhausted, _) => {
            ("quota_exhausted", "the account has no credit left: check its billing".to_owned())
        }
        (ErrorClass::TooLarge, _) => ("too_large", "its object is larger than any that is read here".to_owned()),
        (ErrorClass::Permanent, _) => ("refused", "OpenAI refuses the request in the message".to_owned()),
    };
    LookupError::Permanent(code, format!("{}; {fix}", for_display(&message)))
}
