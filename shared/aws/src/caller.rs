//! Proof of who somebody is, for a function that they invoke: Lambda does not tell it.
//!
//! Whoever asks signs `sts:GetCallerIdentity` and hands the signature over. The function writes the same request anew, word
//! for word, sends it to STS of its own region, and reads who signed it. It takes no address and no header from anybody.
//!
//! The signature covers a header that STS does not read: what was signed for one function is of no use for
//! another, nor is a signature that was made for somebody else. STS takes it for some minutes. Nobody needs a permission.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::body::SdkBody;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Uri};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cause::chain;
use crate::config::Config;
use crate::http::Http;
use crate::identity::{FORM, between, sts};

/// Header with the ARN that the proof is for.
const AUDIENCE: &str = "x-openai-webhooks-audience";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest part of a proof, in bytes. Tokens of sessions have no fixed length.
const MAX_PART: usize = 16_384;

/// A signature of `sts:GetCallerIdentity`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Id of the access key.
    access_key: String,
    /// Time of the signature, such as `20261129T120000Z`.
    date: String,
    signature: String,
    /// Of temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Why it is not known who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallerError {
    /// There is nothing to sign with.
    #[error("cannot sign: {0}")]
    Unsigned(String),
    /// The proof is none, or not for this audience, or too old.
    #[error("STS did not accept the proof of who you are ({0})")]
    Refused(String),
    /// No answer, or none that can be used.
    #[error("STS {0}")]
    Unavailable(String),
}

/// STS of the region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Callers {
    config: Config,
    http: Http,
    endpoint: Uri,
}

impl Callers {
    /// STS in the region of `config`. Who proves and who asks must be in the same.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), http: config.http().clone(), endpoint: sts(config) }
    }

    /// Proves to the function with the ARN `audience` who has the credentials of this configuration.
    ///
    /// # Errors
    ///
    /// No credentials.
    pub async fn prove(&self, audience: &str) -> Result<Proof, CallerError> {
        let provider = self.config.sdk().credentials_provider();
        let provider = provider.ok_or_else(|| CallerError::Unsigned("there are no credentials".to_owned()))?;
        let credentials = provider.provide_credentials().await.map_err(|error| CallerError::Unsigned(chain(&error)))?;
        let access_key = credentials.access_key_id().to_owned();
        let token = credentials.session_token().map(str::to_owned);
        let (date, signature) = self
            .signature(&credentials.into(), audience, SystemTime::now())
            .map_err(|error| CallerError::Unsigned(chain(&*error)))?;
        Ok(Proof { access_key, date, signature, token })
    }

    /// The ARN of whoever made the proof for this `audience`.
    ///
    /// # Errors
    ///
    /// A refusal, or no usable answer in time.
    pub async fn identify(&self, proof: &Proof, audience: &str) -> Result<String, CallerError> {
        let request = self.request(proof, audience).ok_or_else(|| CallerError::Refused("malformed".to_owned()))?;
        match timeout(TIMEOUT, self.http.exchange(request)).await {
            Ok(Ok((status, answer))) => read(status.as_u16(), &String::from_utf8_lossy(&answer)),
            Ok(Err(error)) => Err(CallerError::Unavailable(format!("did not answer: {}", chain(&*error)))),
            Err(_) => Err(CallerError::Unavailable("did not answer in time".to_owned())),
        }
    }

    /// Time and signature of the request.
    fn signature(
        &self,
        identity: &Identity,
        audience: &str,
        now: SystemTime,
    ) -> Result<(String, String), crate::http::BoxError> {
        let params = SigningParams::builder()
            .identity(identity)
            .region(self.config.region())
            .name("sts")
            .time(now)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [("content-type", FORM), ("host", self.host()), (AUDIENCE, audience)];
        let url = self.endpoint.to_string();
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(BODY.as_bytes()))?;
        let (instructions, signature) = sign(signable, &params)?.into_parts();
        let date = instructions.headers().find(|(name, _)| *name == DATE).map(|(_, value)| value.to_owned());
        Ok((date.unwrap_or_default(), signature))
    }

    /// The request that was signed. `None` if the proof has anything in it that no signature has.
    fn request(&self, proof: &Proof, audience: &str) -> Option<Request<SdkBody>> {
        let Proof { access_key, date, signature, token } = proof;
        let plain = |text: &str| text.len() <= MAX_PART && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if ![access_key, date, signature].into_iter().all(|part| plain(part)) {
            return None;
        }
        let scope = format!("{access_key}/{}/{}/sts/aws4_request", date.get(..8)?, self.config.region());
        let of_token = if token.is_some() { ";x-amz-security-token" } else { "" };
        let signed = format!("content-type;host;{DATE}{of_token};{AUDIENCE}");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}");
        let mut request = Request::post(&self.endpoint)
            .header(CONTENT_TYPE, FORM)
            .header(HOST, self.host())
            .header(DATE, date)
            .header(AUDIENCE, audience)
            .header(AUTHORIZATION, authorization);
        if let Some(token) = token.as_ref().filter(|token| token.len() <= MAX_PART) {
            request = request.header(TOKEN, token);
        }
        request.body(SdkBody::from(BODY)).ok()
    }

    fn host(&self) -> &str {
        self.endpoint.authority().map_or("", http::uri::Authority::as_str)
    }
}

fn read(status: u16, answer: &str) -> Result<String, CallerError> {
    match (status, between(answer, "Arn"), between(answer, "Code")) {
        (200, Some(arn), _) if arn.starts_with("arn:") => Ok(arn),
        (400..=499, _, Some(code)) if !code.contains("Throttl") => Err(CallerError::Refused(code)),
        _ => Err(CallerError::Unavailable(format!("answered {status} without an ARN"))),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use http::HeaderMap;

    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:a-console:viewer";

    fn callers(token: Option<&str>) -> Callers {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", token.map(str::to_owned), None, "test");
        let provider = SharedCredentialsProvider::new(credentials.clone());
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12());
        let sdk = sdk.region(Region::new("eu-central-1")).credentials_provider(provider).build();
        Callers::new(&Config::new(sdk, Http::new(), credentials))
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn the_request_that_is_sent_is_the_one_that_was_signed() {
        for token in [None, Some("a/token+of=a session")] {
            let callers = callers(token);
            let proof = callers.prove(FUNCTION).await.unwrap();
            let request = callers.request(&proof, FUNCTION).unwrap();
            assert_eq!(request.uri(), "https://sts.eu-central-1.amazonaws.com/");
            assert_eq!(text(request.headers(), TOKEN), token.unwrap_or_default());

            // What is signed are all headers but the signature's own.
            let names = request.headers().keys().map(http::HeaderName::as_str).filter(|name| *name != "authorization");
            let mut names: Vec<_> = names.collect();
            names.sort_unstable();
            let authorization = text(request.headers(), "authorization");
            assert!(authorization.contains(&format!("SignedHeaders={},", names.join(";"))), "{authorization}");
            assert!(names.contains(&AUDIENCE));
            let other = callers.prove(&FUNCTION.replace("viewer", "operator")).await.unwrap();
            assert_ne!(proof.signature, other.signature);
        }
    }

    #[tokio::test]
    async fn a_proof_adds_nothing_to_the_request() {
        let callers = callers(None);
        for part in ["a, SignedHeaders=host", "a\r\nx: y", "", "é", "20261129T12:00", "../x"] {
            let proof = || Proof {
                access_key: "AKID".to_owned(),
                date: "20261129T120000Z".to_owned(),
                signature: "0".repeat(64),
                token: None,
            };
            assert!(callers.request(&proof(), FUNCTION).is_some());
            for wrong in [
                Proof { access_key: part.to_owned() + ",", ..proof() },
                Proof { date: part.to_owned(), ..proof() },
                Proof { signature: part.to_owned() + " ", ..proof() },
                Proof { token: Some("a\r\nx: y".to_owned()), ..proof() },
            ] {
                assert!(callers.request(&wrong, FUNCTION).is_none(), "{part}");
            }
        }
    }

    #[test]
    fn who_it_is_is_read_from_sts_s_answer() {
        let arn = "arn:aws:sts::123456789012:assumed-role/Ops/ada@example.com";
        let answer = format!("<GetCallerIdentityResult><Arn>{arn}</Arn><UserId>A</UserId></GetCallerIdentityResult>");
        assert_eq!(read(200, &answer).as_deref(), Ok(arn));
        let refused = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>";
        assert_eq!(read(403, refused), Err(CallerError::Refused("SignatureDoesNotMatch".to_owned())));
        for (status, answer) in
            [(200, "<html>"), (200, "<Arn></Arn>"), (503, refused), (429, "<Code>Throttling</Code>")]
        {
            assert!(matches!(read(status, answer), Err(CallerError::Unavailable(_))), "{status} {answer}");
        }
    }
}
