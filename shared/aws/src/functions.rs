//! Invocations of Lambda functions without the SDK's client, over the shared connections.
//!
//! Needs `lambda:InvokeFunction` on the function.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use tokio::time::timeout;

use crate::AwsError;
use crate::cause::chain;
use crate::config::Config;
use crate::http::{Http, Limited};

/// Time limit of starting a function, which Lambda answers as soon as it has the event.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest name or ARN of a function.
const MAX_NAME: usize = 170;

/// Lambda functions of this region. Cheap to clone.
#[derive(Clone)]
pub struct Functions {
    http: Http,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    endpoint: Uri,
}

/// Answer of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionAnswer {
    /// What it returned.
    Returned(Bytes),
    /// It returned more than the caller's limit.
    TooLarge,
    /// It failed: Lambda's word for it, such as `Unhandled`.
    Failed(String),
}

/// An invocation that has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Lambda refused it: nothing was run.
    #[error("Lambda refused to invoke the function: {0}")]
    Refused(String),
    /// There was no answer in time, or it broke off. The function may have run.
    #[error("the function gave no answer: {0}")]
    Unanswered(String),
}

impl Functions {
    /// The functions of this configuration's account and region.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let region = config.region().to_owned();
        let endpoint = config.endpoint().or_else(|| format!("https://lambda.{region}.amazonaws.com").parse().ok());
        Self {
            http: config.http().clone(),
            credentials: config.sdk().credentials_provider(),
            region,
            endpoint: endpoint.unwrap_or_default(),
        }
    }

    /// Starts a function with this event, and does not wait for it. One retry.
    pub async fn start(&self, function: &str, event: &str) -> Result<(), AwsError> {
        const ACTION: &str = "start the function";
        let mut result = self.exchange(function, event, "Event", 0, START_TIMEOUT).await;
        if matches!(result, Err(InvokeError::Unanswered(_))) {
            result = self.exchange(function, event, "Event", 0, START_TIMEOUT).await;
        }
        result.map(drop).map_err(|error| AwsError::new(ACTION, error.to_string()))
    }

    /// Invokes a function with this event and returns what it answers, of `limit` bytes at most.
    pub async fn invoke(
        &self,
        function: &str,
        event: &str,
        limit: usize,
        time: Duration,
    ) -> Result<FunctionAnswer, InvokeError> {
        self.exchange(function, event, "RequestResponse", limit, time).await
    }

    async fn exchange(
        &self,
        function: &str,
        event: &str,
        kind: &'static str,
        limit: usize,
        time: Duration,
    ) -> Result<FunctionAnswer, InvokeError> {
        let request = self.request(function, event, kind).await.map_err(InvokeError::Refused)?;
        let Ok(answer) = timeout(time, self.http.exchange_within(request, limit.max(4096))).await else {
            return Err(InvokeError::Unanswered("no response in time".to_owned()));
        };
        let Limited { head, body } = answer.map_err(|error| InvokeError::Unanswered(chain(&*error)))?;
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let error_type = header("x-amzn-errortype").map(|text| text.split(':').next().unwrap_or(text).to_owned());
        match (head.status, header("x-amz-function-error"), body) {
            (status, ..) if status.is_server_error() => Err(InvokeError::Unanswered(text_of(status, error_type))),
            (status, ..) if !status.is_success() => Err(InvokeError::Refused(text_of(status, error_type))),
            (_, Some(error), _) => Ok(FunctionAnswer::Failed(error.to_owned())),
            (_, None, Some(body)) if body.len() <= limit || kind == "Event" => Ok(FunctionAnswer::Returned(body)),
            _ => Ok(FunctionAnswer::TooLarge),
        }
    }

    async fn request(&self, function: &str, event: &str, kind: &'static str) -> Result<Request<SdkBody>, String> {
        let name = Some(function).filter(|name| is_function(name)).ok_or("its name is not one of a function")?;
        let authority = self.endpoint.authority().map_or("", http::uri::Authority::as_str);
        let scheme = self.endpoint.scheme_str().unwrap_or("https");
        // An ARN has colons, which stay as they are in a path.
        let uri = format!("{scheme}://{authority}/2015-03-31/functions/{name}/invocations");
        let provider = self.credentials.as_ref().ok_or("there are no credentials")?;
        let credentials = provider.provide_credentials().await.map_err(|error| chain(&error))?;
        let identity = Identity::from(credentials);
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| chain(&error))?;
        let headers = [("content-type", "application/json"), ("host", authority), ("x-amz-invocation-type", kind)];
        let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(event.as_bytes()));
        let signable = signable.map_err(|error| chain(&error))?;
        let (instructions, _) = sign(signable, &parameters.into()).map_err(|error| chain(&error))?.into_parts();
        let mut request = Request::post(&uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(SdkBody::from(event)).map_err(|error| error.to_string())?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions").field("region", &self.region).finish_non_exhaustive()
    }
}

/// Whether a text is the name or the ARN of a function, with or without an alias. It becomes part of a path.
#[must_use]
pub fn is_function(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:$".contains(&byte))
}

fn text_of(status: StatusCode, error: Option<String>) -> String {
    match error {
        Some(error) => format!("{error} (status {})", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}
