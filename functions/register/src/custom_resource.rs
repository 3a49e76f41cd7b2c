//! The answer that CloudFormation waits for: always given, and given in time.
//!
//! A custom resource that is never answered keeps its stack waiting until `ServiceTimeout`. So the work has two thirds
//! of the invocation's time, is stopped soon after, and may panic; the rest is for delivering the answer. Where even
//! that does not work the invocation fails, and Lambda repeats it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hooks_function::Error;
use hooks_function::clock::now_ms;
use hooks_telemetry::Line;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::RegistrationError;
use crate::registrar::{Completion, FailedRequest, Registrar, perhaps};
use crate::request::{Request, text};

/// Longest attempt to deliver the answer.
const PUT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two attempts.
const PUT_PAUSE: Duration = Duration::from_millis(500);

/// Longest reason, in bytes. CloudFormation refuses an answer of more than 4096, ids included.
const MAX_REASON: usize = 1000;

/// Takes CloudFormation's requests and answers them.
pub(crate) struct CustomResource {
    pub(crate) registrar: Arc<Registrar>,
    pub(crate) http: reqwest::Client,
}

impl CustomResource {
    /// Carries out the event's request and answers it, all before `end`.
    pub(crate) async fn handle(&self, event: Value, end: Instant) -> Result<(), Error> {
        let to = text(&event, "ResponseURL").to_owned();
        if to.is_empty() {
            return Err("the event is not a request of CloudFormation: it has no ResponseURL".into());
        }
        let request = Request::new(&event);
        let (kind, physical_id) = (request.kind.clone(), request.physical_id.clone());
        let registrar = Arc::clone(&self.registrar);
        let left = end.saturating_duration_since(Instant::now()).as_millis();
        let lease_until = now_ms().saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        let result = within(end, |until| async move { registrar.handle(&request, until, lease_until).await }).await;
        report(&kind, &result);
        let (status, physical_id, reason) = match result {
            Ok(done) => {
                ("SUCCESS", done.physical_id, done.left_behind.map(|error| error.to_string()).unwrap_or_default())
            }
            Err(failed) => ("FAILED", physical_id.unwrap_or_else(|| failed.physical_id.clone()), failed.reason(&kind)),
        };
        let answer = json!({
            "Status": status,
            "Reason": reason[..reason.floor_char_boundary(MAX_REASON)],
            "PhysicalResourceId": physical_id,
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        });
        self.put(&to, &answer.to_string(), end).await
    }

    /// Delivers the answer. The URL is signed, so it stays out of logs and errors.
    async fn put(&self, url: &str, answer: &str, end: Instant) -> Result<(), Error> {
        loop {
            // Without a content type: the URL is signed for none.
            let put = self.http.put(url).body(answer.to_owned()).timeout(PUT_TIMEOUT).send();
            let problem = match timeout_at(end, put).await {
                Ok(Ok(response)) if response.status().is_success() => return Ok(()),
                Ok(Ok(response)) => format!("it was answered {}", response.status()),
                Ok(Err(error)) => error.without_url().to_string(),
                Err(_) => "no answer came in time".to_owned(),
            };
            if Instant::now() + PUT_PAUSE >= end {
                return Err(format!("the answer could not be delivered to CloudFormation: {problem}").into());
            }
            sleep(PUT_PAUSE).await;
        }
    }
}

/// The result of the work, which gets the time by which it should be over; an error if it panics or takes longer.
async fn within<F>(end: Instant, work: impl FnOnce(Instant) -> F) -> Result<Completion, FailedRequest>
where
    F: Future<Output = Result<Completion, FailedRequest>> + Send + 'static,
{
    let left = end.saturating_duration_since(Instant::now());
    let until = Instant::now() + left * 2 / 3;
    // A task of its own, so that a panic ends it alone.
    let mut task = tokio::spawn(work(until));
    // A little more time than it was given, to return how far it came.
    match timeout_at(until + left / 12, &mut task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(perhaps(RegistrationError::Panic)),
        Err(_) => {
            task.abort();
            Err(perhaps(RegistrationError::OutOfTime))
        }
    }
}

impl FailedRequest {
    /// For the stack's events.
    fn reason(&self, kind: &str) -> String {
        let what = match kind {
            "Update" => "Updating",
            "Delete" => "Deleting",
            _ => "Registering",
        };
        format!("{what} the webhook endpoint at OpenAI failed: {}", self.error)
    }
}

/// The invocation's line in the log.
fn report(kind: &str, result: &Result<Completion, FailedRequest>) {
    match result {
        Ok(Completion { physical_id, outcome, left_behind: None }) => {
            Line::info("webhook endpoint managed").text("endpoint.id", physical_id).text("outcome", outcome).emit();
        }
        Ok(Completion { physical_id, outcome, left_behind: Some(error) }) => Line::warn(
            "webhook endpoint left at OpenAI, where it goes on delivering: delete it in the dashboard, under Settings, \
             Project, Webhooks",
        )
        .text("endpoint.id", physical_id)
        .text("outcome", outcome)
        .text("reason", &error.to_string())
        .emit(),
        Err(failed) => Line::error("webhook endpoint not managed").text("reason", &failed.reason(kind)).emit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_or_never_ends_still_has_a_result() {
        let end = Instant::now() + Duration::from_mins(2);
        let failed = within(end, |_| async { panic!("for the test") }).await.unwrap_err();
        assert!(matches!(failed.error, RegistrationError::Panic));
        let failed = within(end, |_| std::future::pending()).await.unwrap_err();
        assert!(matches!(failed.error, RegistrationError::OutOfTime));
        assert_eq!(failed.physical_id, "perhaps-registered");
        assert_eq!((end - Instant::now()).as_secs(), 30);
    }
}
