//! Calls to AWS's JSON services without an SDK client, over the shared connections.
//!
//! Used for the one call that every delivery waits for; `docs/decisions/sqs-without-the-sdk.md` has the figures.

use crate::cause::chain;
use crate::config::Config;
use crate::http::Http;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, InvalidHeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Request, Uri};
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, Sleep, sleep_until};

static X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
static X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
static X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

const JSON: &str = "application/x-amz-json-1.0";

/// Client of a JSON service at one endpoint.
pub(crate) struct Service {
    http: Http,
    endpoint: Uri,
    signer: Signer,
    timer: Timer,
}

/// Failure of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The service responded with an error: HTTP status and error code.
    #[error("{code} (status {status})")]
    Answered { status: u16, code: String },
    /// No response.
    #[error("{0}")]
    Unanswered(String),
}

impl Service {
    /// A client of the service `name` (as in a signature's scope) at the host of `url`.
    pub(crate) fn new(config: &Config, name: &'static str, url: Uri) -> Self {
        let mut parts = url.into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let endpoint = Uri::from_parts(parts).unwrap_or_default();
        Self { http: config.http().clone(), endpoint, signer: Signer::new(config, name), timer: Timer::default() }
    }

    /// Opens a connection ahead of the first call.
    pub(crate) async fn connect(&self) {
        self.http.connect(&self.endpoint).await;
    }

    /// Calls `operation`, such as `AmazonSQS.SendMessage`, until `deadline`. Discards the response unless it is an error.
    pub(crate) async fn call(&self, operation: &'static str, body: Bytes, deadline: Instant) -> Result<(), CallError> {
        let request = self.signer.sign(&self.endpoint, operation, body, SystemTime::now());
        let request = request.map_err(|error| CallError::Unanswered(error.to_string()))?;
        let answer = self.timer.until(deadline, self.http.exchange(request)).await;
        let answer = answer.ok_or_else(|| CallError::Unanswered("no response in time".to_owned()))?;
        let (status, body) = answer.map_err(|error| CallError::Unanswered(chain(&*error)))?;
        if status.is_success() {
            return Ok(());
        }
        Err(CallError::Answered { status: status.as_u16(), code: error_code(&body).to_owned() })
    }
}

/// Timer shared by consecutive calls.
///
/// A new timer on an idle runtime costs two system calls to wake it up; resetting an existing one to a later time costs
/// none. Concurrent calls find it taken and create their own.
#[derive(Default)]
struct Timer(Mutex<Option<Pin<Box<Sleep>>>>);

impl Timer {
    /// The result of `work`, or `None` after `deadline`.
    async fn until<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut sleep = kept.unwrap_or_else(|| Box::pin(sleep_until(deadline)));
        sleep.as_mut().reset(deadline);
        let result = tokio::select! {
            biased;
            result = work => Some(result),
            () = &mut sleep => None,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sleep);
        result
    }
}

/// The error code in `{"__type": "com.amazonaws.sqs#QueueDoesNotExist", …}`.
fn error_code(body: &[u8]) -> &str {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let code = text.split_once("\"__type\"").and_then(|(_, rest)| rest.split('"').nth(1)).unwrap_or("no error code");
    code.rsplit('#').next().unwrap_or(code)
}

/// Signature Version 4 for a POST to `/` with a JSON body.
///
/// The signing key and everything else that is valid for a day is computed once a day.
struct Signer {
    access_key: String,
    secret_key: String,
    token: Option<HeaderValue>,
    region: String,
    service: &'static str,
    day: Mutex<Option<Arc<Day>>>,
}

/// Values shared by all signatures of a day.
struct Day {
    /// Days since the epoch.
    number: u64,
    /// As in `20250625`.
    date: String,
    /// As in `20250625/eu-central-1/sqs/aws4_request`.
    scope: String,
    key: [u8; 32],
}

impl Signer {
    fn new(config: &Config, service: &'static str) -> Self {
        let credentials = config.credentials();
        Self {
            access_key: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().and_then(|token| {
                let mut token = HeaderValue::from_str(token).ok()?;
                token.set_sensitive(true);
                Some(token)
            }),
            region: config.region().to_owned(),
            service,
            day: Mutex::default(),
        }
    }

    fn sign(
        &self,
        endpoint: &Uri,
        operation: &'static str,
        body: Bytes,
        now: SystemTime,
    ) -> Result<Request<SdkBody>, InvalidHeaderValue> {
        let host = endpoint.authority().map_or("", Authority::as_str);
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let day = self.day(since_epoch / SECONDS_PER_DAY);
        let time = date_time(&day.date, since_epoch % SECONDS_PER_DAY);
        let token = self.token.as_ref().and_then(|token| token.to_str().ok());
        let (token_line, signed_headers) = match token {
            Some(token) => {
                (["\nx-amz-security-token:", token], "content-type;host;x-amz-date;x-amz-security-token;x-amz-target")
            }
            None => ([""; 2], "content-type;host;x-amz-date;x-amz-target"),
        };

        let body_hash = hex(&Sha256::digest(&body));
        let canonical_request = [
            ["POST\n/\n\ncontent-type:", JSON].as_slice(),
            &["\nhost:", host],
            &["\nx-amz-date:", &time],
            &token_line,
            &["\nx-amz-target:", operation],
            &["\n\n", signed_headers, "\n", &body_hash],
        ];
        let parts = canonical_request.into_iter().flatten();
        let request_hash = hex(&parts.fold(Sha256::new(), Sha256::chain_update).finalize());
        let string_to_sign = ["AWS4-HMAC-SHA256\n", &time, "\n", &day.scope, "\n", &request_hash].concat();
        let signature = calculate_signature(day.key, string_to_sign.as_bytes());
        let credential = ["AWS4-HMAC-SHA256 Credential=", &self.access_key, "/", &day.scope];
        let authorization = [credential.as_slice(), &[", SignedHeaders=", signed_headers, ", Signature=", &signature]]
            .concat()
            .concat();

        let mut request = Request::new(SdkBody::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.clone();
        let headers = request.headers_mut();
        headers.reserve(6);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(HOST, HeaderValue::from_str(host)?);
        headers.insert(&X_AMZ_DATE, HeaderValue::from_str(&time)?);
        if let Some(token) = &self.token {
            headers.insert(&X_AMZ_SECURITY_TOKEN, token.clone());
        }
        headers.insert(&X_AMZ_TARGET, HeaderValue::from_static(operation));
        headers.insert(AUTHORIZATION, HeaderValue::try_from(authorization)?);
        Ok(request)
    }

    fn day(&self, number: u64) -> Arc<Day> {
        let mut known = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(day) = known.as_ref().filter(|day| day.number == number) {
            return Arc::clone(day);
        }
        let midnight = UNIX_EPOCH + Duration::from_secs(number * SECONDS_PER_DAY);
        let mut date = DateTime::from(midnight).fmt(Format::DateTime).unwrap_or_default();
        date.retain(|character| character != '-');
        date.truncate("YYYYMMDD".len());
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let mut key = [0; 32];
        key.copy_from_slice(generate_signing_key(&self.secret_key, midnight, &self.region, self.service).as_ref());
        Arc::clone(known.insert(Arc::new(Day { number, date, scope, key })))
    }
}

/// `20250625T142010Z`.
fn date_time(date: &str, second_of_day: u64) -> String {
    let mut text = String::with_capacity(16);
    text.push_str(date);
    text.push('T');
    for number in [second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60] {
        text.extend([number / 10, number % 10].map(|digit| char::from(b'0' + u8::try_from(digit).unwrap_or_default())));
    }
    text.push('Z');
    text
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;
    use aws_smithy_runtime_api::client::identity::Identity;

    const BODY: &[u8] = br#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/1/batch"}"#;
    const SEND: &str = "AmazonSQS.SendMessage";

    fn config(token: &str) -> Config {
        let mut environment = Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("AWS_SESSION_TOKEN", token),
        ]);
        Config::from_env(&mut environment).unwrap()
    }

    fn service(config: &Config) -> Service {
        Service::new(config, "sqs", Uri::from_static("https://sqs.eu-central-1.amazonaws.com/1/batch"))
    }

    fn signed(service: &Service, now: SystemTime) -> Request<SdkBody> {
        service.signer.sign(&service.endpoint, SEND, Bytes::from_static(BODY), now).unwrap()
    }

    /// The `authorization` that AWS's own crate gives a request.
    fn expected(config: &Config, request: &Request<SdkBody>, now: SystemTime) -> String {
        let identity = Identity::from(config.credentials().clone());
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name("sqs")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let added = ["authorization", "x-amz-date", "x-amz-security-token"];
        let headers = request.headers().iter().filter(|(name, _)| !added.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable =
            SignableRequest::new("POST", request.uri().to_string(), headers, SignableBody::Bytes(BODY)).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let mut reference = Request::new(());
        instructions.apply_to_request_http1x(&mut reference);
        for name in added {
            assert_eq!(reference.headers().get(name).is_some(), request.headers().get(name).is_some(), "{name}");
        }
        assert_eq!(reference.headers()["x-amz-date"], request.headers()["x-amz-date"]);
        reference.headers()["authorization"].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_request_is_signed_as_the_official_crate_signs_it_on_any_day() {
        for token in ["", "a+token/of=some length"] {
            let config = config(token);
            let service = service(&config);
            for seconds in [951_825_599, 1_750_861_210, 1_750_861_211, 1_750_895_999, 1_750_896_000, 4_107_542_400] {
                let now = UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 999);
                let request = signed(&service, now);
                assert_eq!(request.headers()["authorization"], expected(&config, &request, now), "at {seconds}");
            }
        }
    }

    #[test]
    fn the_credentials_are_in_no_debug_output() {
        let config = config("the-session-token");
        let request = signed(&service(&config), SystemTime::now());
        let text = format!("{config:?} {request:?}");
        for hidden in ["wJalrXUtnFEMI", "the-session-token"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }

    #[test]
    fn an_error_is_known_by_its_code() {
        for (body, code) in [
            (r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"x"}"#, "QueueDoesNotExist"),
            (r#"{"message":"x", "__type" : "ThrottlingException"}"#, "ThrottlingException"),
            ("<html>", "no error code"),
            ("", "no error code"),
        ] {
            assert_eq!(error_code(body.as_bytes()), code);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_serves_one_call_after_the_other_and_several_at_once() {
        let timer = Timer::default();
        let second = Duration::from_secs(1);
        for _ in 0..3 {
            let never = std::future::pending::<()>();
            assert_eq!(timer.until(Instant::now() + second, never).await, None);
            assert_eq!(timer.until(Instant::now() + second, async { 7 }).await, Some(7));
        }
        let started = Instant::now();
        let slow = timer.until(started + 5 * second, std::future::pending::<()>());
        let quick = timer.until(started + second, std::future::pending::<()>());
        tokio::join!(slow, async {
            quick.await;
            assert_eq!(started.elapsed().as_secs(), 1);
        });
        assert_eq!(started.elapsed().as_secs(), 5);
    }
}
