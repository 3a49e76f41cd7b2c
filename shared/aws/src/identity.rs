//! Proof for others of who the caller is (STS): `sts:GetWebIdentityToken`.
//!
//! The account must allow it once: `aws iam enable-outbound-web-identity-federation`. Called without an SDK client, which
//! the functions do not have otherwise.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_types::body::SdkBody;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use tokio::time::{Instant, timeout_at};

use crate::cause::chain;
use crate::config::Config;
use crate::http::Http;

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Time for which the token is good, in seconds: it is exchanged at once.
const LIFETIME: u32 = 300;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The account does not allow such tokens at all.
const DISABLED: &str = "OutboundWebIdentityFederationDisabledException";

/// Why there is no token. Never shows one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebIdentityError {
    /// The account does not allow such tokens.
    #[error("this AWS account gives no tokens for others: run `aws iam enable-outbound-web-identity-federation` once")]
    Disabled,
    /// STS refused, for the same reason each time.
    #[error("STS refused a token for OpenAI ({0}): the function's role needs sts:GetWebIdentityToken")]
    Refused(String),
    /// No answer, or none that can be used.
    #[error("STS {0}")]
    Unavailable(String),
}

/// STS of the region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WebIdentity {
    http: Http,
    endpoint: Uri,
    region: String,
    credentials: Credentials,
}

impl WebIdentity {
    /// STS in the region of `config`: its global endpoint gives no such tokens.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            http: config.http().clone(),
            endpoint: sts(config),
            region: config.region().to_owned(),
            credentials: config.credentials().clone(),
        }
    }

    /// A JSON Web Token, signed by STS, that names the caller's role. `audience` is a URL.
    ///
    /// # Errors
    ///
    /// A refusal, or no usable answer in time.
    pub async fn token(&self, audience: &str, deadline: Instant) -> Result<String, WebIdentityError> {
        let audience: String = audience.bytes().map(escaped).collect();
        let body = format!(
            "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1={audience}&DurationSeconds={LIFETIME}\
             &SigningAlgorithm=RS256"
        );
        let request = self.signed(body).map_err(WebIdentityError::Unavailable)?;
        let until = deadline.min(Instant::now() + TIMEOUT);
        match timeout_at(until, self.http.exchange(request)).await {
            Ok(Ok((status, answer))) => read(status.as_u16(), &String::from_utf8_lossy(&answer)),
            Ok(Err(error)) => Err(WebIdentityError::Unavailable(format!("did not answer: {}", chain(&*error)))),
            Err(_) => Err(WebIdentityError::Unavailable("did not answer in time".to_owned())),
        }
    }

    fn signed(&self, body: String) -> Result<Request<SdkBody>, String> {
        let problem = |error: &dyn std::error::Error| format!("cannot be asked: {error}");
        let host = self.endpoint.authority().map_or("", http::uri::Authority::as_str);
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sts")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| problem(&error))?
            .into();
        let url = self.endpoint.to_string();
        let headers = [("content-type", FORM), ("host", host)];
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
            .map_err(|error| problem(&error))?;
        let (instructions, _) = sign(signable, &params).map_err(|error| problem(&error))?.into_parts();
        let request = Request::builder().method(Method::POST).uri(&self.endpoint);
        let request = request.header(CONTENT_TYPE, FORM).header(HOST, host);
        let mut request = request.body(SdkBody::from(body)).map_err(|error| problem(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// Address of STS in the region.
pub(crate) fn sts(config: &Config) -> Uri {
    let region = config.region();
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let of_region = || format!("https://sts.{region}.amazonaws.com{suffix}/").parse().ok();
    let mut parts = config.endpoint().or_else(of_region).unwrap_or_default().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_default()
}

/// The text of an element of STS's answer.
pub(crate) fn between(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
}

fn read(status: u16, answer: &str) -> Result<String, WebIdentityError> {
    match (status, between(answer, "WebIdentityToken"), between(answer, "Code")) {
        (200, Some(token), _) if !token.is_empty() => Ok(token),
        (_, _, Some(code)) if code == DISABLED => Err(WebIdentityError::Disabled),
        (400..=499, _, Some(code)) if !code.contains("Throttl") => Err(WebIdentityError::Refused(code)),
        _ => Err(WebIdentityError::Unavailable(format!("answered {status} without a token"))),
    }
}

/// A byte of a form's value.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str) -> String {
        format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>")
    }

    #[test]
    fn a_token_is_read_from_sts_s_answer() {
        let text = "<GetWebIdentityTokenResult><WebIdentityToken>ey.J.x</WebIdentityToken></GetWebIdentityTokenResult>";
        assert_eq!(read(200, text).as_deref(), Ok("ey.J.x"));
    }

    #[test]
    fn a_refusal_is_told_from_an_outage() {
        assert_eq!(read(403, &answer(DISABLED)), Err(WebIdentityError::Disabled));
        let denied = WebIdentityError::Refused("AccessDenied".to_owned());
        assert_eq!(read(403, &answer("AccessDenied")), Err(denied));
        for (status, code) in [(400, "Throttling"), (500, "InternalFailure"), (503, "ServiceUnavailable")] {
            assert!(matches!(read(status, &answer(code)), Err(WebIdentityError::Unavailable(_))), "{code}");
        }
        assert!(matches!(read(200, "<html>"), Err(WebIdentityError::Unavailable(_))));
    }

    #[test]
    fn an_audience_is_escaped() {
        let form: String = "https://api.openai.com/v1".bytes().map(escaped).collect();
        assert_eq!(form, "https%3A%2F%2Fapi.openai.com%2Fv1");
    }
}
