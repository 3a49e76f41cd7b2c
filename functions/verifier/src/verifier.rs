//! Path of one delivery.

use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::report::{NO_REQUEST, Report};
use crate::settings::Settings;
use crate::signing_secret::SigningSecret;
use futures::FutureExt;
use futures::future::join_all;
use hooks_aws::queue::Queues;
use hooks_aws::secrets::Store;
use hooks_function::clock::{now_ms, now_seconds};
use hooks_webhook::{MAX_BODY, Request, Signed, Verified, VerifyError};
use lambda_http::LambdaEvent;
use lambda_http::lambda_runtime::Diagnostic;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// State kept between deliveries.
pub(crate) struct Verifier {
    /// By endpoint name.
    secrets: HashMap<String, SigningSecret<Store>>,
    queues: Queues,
}

impl Verifier {
    /// Reads the secrets and opens the connection to SQS, so that the first delivery does not wait for them.
    pub(crate) async fn start(settings: Settings) -> Self {
        let store = Store::new(&settings.aws);
        let secrets = settings.endpoints.into_iter().map(|(name, endpoint)| {
            (name.clone(), SigningSecret::new(store.clone(), endpoint.secret_id, name, endpoint.scheme))
        });
        let verifier = Self { secrets: secrets.collect(), queues: Queues::new(&settings.aws, settings.queues) };
        let now = now_seconds().cast_unsigned();
        let loading = join_all(verifier.secrets.values().map(|secret| secret.load(now)));
        tokio::join!(loading, verifier.queues.connect());
        verifier
    }

    /// Handles an event. The answer is always one of [`Outcome`], even after a panic; only an event that is about no HTTP
    /// request fails.
    pub(crate) async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Diagnostic> {
        let trace = event.context.xray_trace_id;
        let mut report = Report { request_id: event.context.request_id, ..Report::default() };
        let Some(request) = Request::read(event.payload.get().as_bytes()) else {
            report.emit_no_request();
            return Err(no_request());
        };
        let outcome = or_queue_unavailable(self.decide(&request, trace.as_deref(), &mut report)).await;
        report.emit(outcome);
        Ok(Answer::new(outcome.response(), request.is_from_load_balancer))
    }

    async fn decide(&self, request: &Request<'_>, trace: Option<&str>, report: &mut Report) -> Outcome {
        let received_ms = now_ms().cast_unsigned();
        let received = received_ms / 1_000;
        report.body_bytes = request.body.len() as u64;
        let endpoint = request.endpoint.as_deref();
        let Some((endpoint, secret)) = endpoint.and_then(|name| self.secrets.get_key_value(name)) else {
            return Outcome::UnknownEndpoint;
        };
        report.endpoint = Some(endpoint.clone());
        if request.method != "POST" {
            return Outcome::MethodNotAllowed;
        }
        let outcome = async {
            let started = Instant::now();
            let verified = match self.check(secret, request, received, report).await {
                Ok(verified) => verified,
                Err(outcome) => return outcome,
            };
            report.verify_time = Some(started.elapsed());
            describe(&verified, report);
            let started = Instant::now();
            let sent = self.queues.send(&verified, endpoint, received_ms, trace).await;
            report.enqueue_time = Some(started.elapsed());
            match sent {
                Ok(()) => Outcome::Accepted,
                Err(error) => {
                    let webhook_id = verified.webhook_id();
                    tracing::error!(webhook.id = webhook_id, %error, "cannot queue the event");
                    Outcome::QueueUnavailable
                }
            }
        };
        // Concurrently with the delivery, because Lambda freezes the process after the response. Every read of a secret is
        // boxed: it is rare and large, and an unboxed future would be moved with every delivery.
        if secret.is_due(received) { tokio::join!(outcome, secret.refresh(received).boxed()).0 } else { outcome.await }
    }

    async fn check<'a>(
        &self,
        secret: &SigningSecret<Store>,
        request: &'a Request<'_>,
        now: u64,
        report: &mut Report,
    ) -> Result<Verified<'a>, Outcome> {
        let mut live = secret.live();
        if live.at(now).is_empty() {
            secret.refresh(now).boxed().await;
            live = secret.live();
        }
        if live.at(now).is_empty() {
            return Err(Outcome::SecretUnavailable);
        }
        let mut signed = verify(secret, live.at(now), request, now);
        if signed.as_ref().err() == Some(&VerifyError::NoMatchingSignature)
            && let Some(newer) = secret.after_mismatch(&live, now).boxed().await
        {
            signed = verify(secret, newer.at(now), request, now);
        }
        let signed = signed.map_err(Outcome::Rejected)?;
        report.webhook_id = signed.webhook_id().map(str::to_owned);
        signed.parse().map_err(Outcome::Rejected)
    }
}

/// The failure for an event that is about no HTTP request, so that an answer would reach nobody.
fn no_request() -> Diagnostic {
    let error_message = "the event is not about an HTTP request: it has neither a method nor a path. Only API Gateway, a \
                         function URL or a load balancer may invoke this function.";
    Diagnostic { error_type: NO_REQUEST.to_owned(), error_message: error_message.to_owned() }
}

/// The outcome of `deciding`. After a panic the event is not queued, and the response says so, so that OpenAI retries.
async fn or_queue_unavailable(deciding: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(deciding).catch_unwind().await.unwrap_or(Outcome::QueueUnavailable)
}

fn verify<'a>(
    secret: &SigningSecret<Store>,
    live: &[hooks_webhook::Secret],
    request: &'a Request<'_>,
    now: u64,
) -> Result<Signed<'a>, VerifyError> {
    if request.body.len() <= MAX_BODY {
        request.reject_joined_headers(secret.scheme())?;
    }
    hooks_webhook::verify(secret.scheme(), live, &request.headers, &request.body, now)
}

fn describe(verified: &Verified<'_>, report: &mut Report) {
    report.webhook_id = Some(verified.webhook_id().to_owned());
    report.event_id = Some(verified.event_id().to_owned());
    report.event_type = Some(verified.event_type().to_owned());
    report.object_id = verified.object_id();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_gives_the_response_of_an_unavailable_queue() {
        assert_eq!(or_queue_unavailable(async { panic!("on purpose") }).await, Outcome::QueueUnavailable);
        assert_eq!(or_queue_unavailable(async { Outcome::Accepted }).await, Outcome::Accepted);
    }
}
