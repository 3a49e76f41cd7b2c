//! Retrieving what a notice is about, for somebody who is waiting.

use std::time::Duration;

use hooks_consumer::{Context, OpenAi};
use hooks_openai::{Client, ErrorClass, OpenAiError, for_display};
use tokio::time::Instant;

use crate::notice::{Object, Subject};

/// How long the look-up may take: an object that OpenAI has is there within a second.
const PATIENCE: Duration = Duration::from_secs(8);

/// What of the invocation's time is left for the outcome and the alert.
const RESERVE: Duration = Duration::from_secs(2);

/// Why there is nothing.
#[derive(Debug)]
pub(crate) enum Missed {
    /// OpenAI has no such object.
    Unknown(String),
    /// It may work later.
    ForNow(String),
    /// It won't: a short name, and the reason with what to do about it.
    ForGood(&'static str, String),
}

/// Retrieves the subject's object.
pub(crate) async fn look_up(openai: &OpenAi, subject: Subject, id: &str, context: &Context) -> Result<Object, Missed> {
    let until = (Instant::now() + PATIENCE).min(before_the_end(context));
    let generation = openai.generation().await;
    let client = || async { openai.client().await.map_err(|failure| Missed::ForNow(failure.to_string())) };
    let mut answer = retrieve(&client().await?, subject, id, until).await;
    // A refused key may have been rotated since it was read. The harness would look for another one after a failure,
    // and give the event up when there is none; a notice must not end so, and need not wait for a second attempt.
    let refused = matches!(&answer, Err(error) if error.class() == ErrorClass::Unauthorized);
    if refused && openai.replaced(generation).await {
        answer = retrieve(&client().await?, subject, id, until).await;
    }
    answer.map_err(|error| missed(&error, subject))
}

/// When to be done, so that an answer which does not come cannot cost the alert: a handler that is stopped tells nobody.
pub(crate) fn before_the_end(context: &Context) -> Instant {
    context.deadline.checked_sub(RESERVE).unwrap_or(context.deadline)
}

async fn retrieve(client: &Client, subject: Subject, id: &str, until: Instant) -> Result<Object, OpenAiError> {
    match subject {
        Subject::Case => client.safety_case(id, until).await.map(Object::Case),
        _ => client.safety_alert(id, until).await.map(Object::Alert),
    }
}

fn missed(error: &OpenAiError, subject: Subject) -> Missed {
    let said = error.to_string();
    let name = match (error.class(), error.status()) {
        (ErrorClass::Retry, _) => return Missed::ForNow(said),
        (ErrorClass::NotFound, _) => return Missed::Unknown(said),
        (ErrorClass::Unauthorized, Some(403)) => "forbidden",
        (ErrorClass::Unauthorized, _) => "unauthorized",
        (ErrorClass::QuotaExhausted, _) => "quota_exhausted",
        (ErrorClass::Permanent, _) => "refused",
    };
    let to_do = match name {
        "forbidden" => format!("the API key may not read it: it needs {}", subject.permission()),
        "unauthorized" => "the API key is not valid (any more): store one that is".to_owned(),
        "quota_exhausted" => "the account has no credit left: see to its billing".to_owned(),
        _ => "OpenAI does not answer this call: see the request in the message".to_owned(),
    };
    Missed::ForGood(name, format!("{}; {to_do}", for_display(&said)))
}
