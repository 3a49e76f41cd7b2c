//! The way of one delivery.

use crate::front_door;
use crate::outcome::Outcome;
use crate::report::Report;
use crate::settings::Settings;
use crate::signing_secret::SigningSecret;
use futures::FutureExt;
use futures::future::join_all;
use hooks_aws::queue::Queues;
use hooks_aws::secrets::Store;
use hooks_webhook::{MAX_BODY, Refusal, Signed, Verified};
use http::{Method, Response};
use lambda_http::{Request, RequestExt};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What stays between deliveries.
pub(crate) struct Verifier {
    /// By endpoint.
    secrets: HashMap<String, SigningSecret<Store>>,
    queues: Queues,
}

impl Verifier {
    /// Reads the secrets and opens the connection to SQS, so that the first delivery waits for neither.
    pub(crate) async fn start(settings: Settings) -> Self {
        let store = Store::new(&settings.aws);
        let secrets = settings.secrets.into_iter().map(|(endpoint, setting)| {
            (endpoint.clone(), SigningSecret::new(store.clone(), setting.id, endpoint, setting.scheme))
        });
        let verifier = Self { secrets: secrets.collect(), queues: Queues::new(&settings.aws, settings.queues) };
        let now = since_epoch().as_secs();
        let loading = join_all(verifier.secrets.values().map(|secret| secret.load(now)));
        tokio::join!(loading, verifier.queues.connect());
        verifier
    }

    /// Answers a request. Whatever happens, the answer is one of [`Outcome`].
    pub(crate) async fn handle(&self, request: Request) -> Result<Response<String>, Infallible> {
        let mut report = Report::default();
        let outcome = or_unqueued(self.decide(&request, &mut report)).await;
        report.emit(outcome);
        Ok(outcome.response())
    }

    async fn decide(&self, request: &Request, report: &mut Report) -> Outcome {
        let received = since_epoch();
        report.request_id = request.lambda_context_ref().map_or_else(String::new, |context| context.request_id.clone());
        report.body_bytes = request.body().len() as u64;
        let stage = request.request_context_ref().and_then(|context| match context {
            lambda_http::request::RequestContext::ApiGatewayV2(context) => context.stage.as_deref(),
            _ => None,
        });
        let endpoint = front_door::endpoint(request.raw_http_path(), stage);
        let Some((endpoint, secret)) = endpoint.and_then(|name| self.secrets.get_key_value(name)) else {
            return Outcome::UnknownEndpoint;
        };
        report.endpoint = Some(endpoint.clone());
        if request.method() != Method::POST {
            return Outcome::MethodNotAllowed;
        }
        let outcome = async {
            let started = Instant::now();
            let verified = match self.check(secret, request, received.as_secs(), report).await {
                Ok(verified) => verified,
                Err(outcome) => return outcome,
            };
            report.verify_time = Some(started.elapsed());
            describe(&verified, report);
            let started = Instant::now();
            let millis = u64::try_from(received.as_millis()).unwrap_or(u64::MAX);
            let sent = self.queues.send(&verified, endpoint, millis).await;
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
        // Boxed here and below, since it is rare and large: a future is moved with all that it may come to hold.
        // Beside the delivery, not after it: Lambda stops the process once it has answered. Boxed, as is every read of a
        // secret here: it is rare and large, and a future is moved with all that it may come to hold.
        if secret.is_due(received.as_secs()) {
            tokio::join!(outcome, secret.refresh(received.as_secs()).boxed()).0
        } else {
            outcome.await
        }
    }

    async fn check<'a>(
        &self,
        secret: &SigningSecret<Store>,
        request: &'a Request,
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
        if signed.as_ref().err() == Some(&Refusal::NoMatchingSignature)
            && let Some(newer) = secret.after_mismatch(&live, now).boxed().await
        {
            signed = verify(secret, newer.at(now), request, now);
        }
        let signed = signed.map_err(Outcome::Refused)?;
        report.webhook_id = signed.webhook_id().map(str::to_owned);
        signed.parse().map_err(Outcome::Refused)
    }
}

/// What `deciding` comes to. A panic leaves the event unqueued, and is answered as just that, so that OpenAI repeats the
/// delivery.
async fn or_unqueued(deciding: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(deciding).catch_unwind().await.unwrap_or(Outcome::QueueUnavailable)
}

fn verify<'a>(
    secret: &SigningSecret<Store>,
    live: &[hooks_webhook::Secret],
    request: &'a Request,
    now: u64,
) -> Result<Signed<'a>, Refusal> {
    let body: &[u8] = request.body();
    if body.len() <= MAX_BODY {
        front_door::refuse_joined(secret.scheme(), request.headers())?;
    }
    hooks_webhook::verify(secret.scheme(), live, request.headers(), body, now)
}

fn describe(verified: &Verified<'_>, report: &mut Report) {
    report.webhook_id = Some(verified.webhook_id().to_owned());
    report.event_id = Some(verified.event_id().to_owned());
    report.event_type = Some(verified.event_type().to_owned());
    report.object_id = object_id(verified.body());
}

/// The id of the object that the event is about, where it has one: calls and live sessions name it differently.
fn object_id(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
        #[serde(borrow)]
        call_id: Option<Cow<'a, str>>,
        #[serde(borrow)]
        session_id: Option<Cow<'a, str>>,
    }
    let data = serde_json::from_str::<Event<'_>>(body).ok()?.data;
    data.id.or(data.call_id).or(data.session_id).map(Cow::into_owned)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_like_a_queue_that_does_not_answer() {
        assert_eq!(or_unqueued(async { panic!("on purpose") }).await, Outcome::QueueUnavailable);
        assert_eq!(or_unqueued(async { Outcome::Accepted }).await, Outcome::Accepted);
    }

    #[test]
    fn an_object_is_named_when_it_has_a_name() {
        assert_eq!(object_id(r#"{"data":{"id":"batch_1"}}"#).as_deref(), Some("batch_1"));
        assert_eq!(object_id(r#"{"data":{"call_id":"rtc_1","sip_headers":[]}}"#).as_deref(), Some("rtc_1"));
        for body in [r#"{"data":{"id":7}}"#, r#"{"data":null}"#, "{}", r#"{"data":{"other":"x"}}"#] {
            assert_eq!(object_id(body), None, "{body}");
        }
    }
}
