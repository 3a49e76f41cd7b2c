//! Workload identity: a short-lived token of OpenAI's in exchange for one that proves who the workload is.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::for_display;

/// Who the token that is exchanged must be for.
pub const AUDIENCE: &str = "https://api.openai.com/v1";

const EXCHANGE_URL: &str = "https://auth.openai.com/oauth/token";

/// The size limit of an answer in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Value of OpenAI's own clients.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What OpenAI knows of a workload.
#[derive(Clone, Debug)]
pub struct WorkloadIdentity {
    /// Id of the identity provider that was set up at OpenAI.
    pub provider_id: String,
    /// Id of the service account that the workload acts as.
    pub service_account_id: String,
    /// Permissions to ask for, separated by spaces. None for all that the service account has.
    pub scope: Option<String>,
}

/// A token in the place of an API key.
#[derive(Clone)]
pub struct AccessToken {
    /// What is sent as the API key.
    pub text: String,
    /// For how long OpenAI takes it, from now.
    pub lifetime: Duration,
}

/// Why there is no token. Never shows one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// OpenAI refused the exchange, for the same reason each time.
    #[error("OpenAI refused the workload's identity ({code}): {message}")]
    Refused {
        /// OAuth's error code, such as `invalid_grant`.
        code: String,
        /// OpenAI's words.
        message: String,
    },
    /// No answer, or none that can be used.
    #[error("OpenAI's token endpoint {0}")]
    Unavailable(String),
}

impl Client {
    /// Exchanges `subject_token`, a signed JSON Web Token for [`AUDIENCE`].
    ///
    /// # Errors
    ///
    /// A refusal (400, 401, 403), or no usable answer in time.
    pub async fn exchange_token(
        &self,
        identity: &WorkloadIdentity,
        subject_token: &str,
        deadline: Instant,
    ) -> Result<AccessToken, TokenError> {
        let mut body = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": subject_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "identity_provider_id": identity.provider_id,
            "service_account_id": identity.service_account_id,
        });
        if let Some(scope) = &identity.scope {
            body["scope"] = scope.as_str().into();
        }
        let until = deadline.min(Instant::now() + TIMEOUT);
        let exchange = async {
            let mut response = self.post_unauthorized(&self.exchange_url(), &body).await?;
            let status = response.status().as_u16();
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if bytes.len() + chunk.len() > MAX_ANSWER {
                    bytes.clear();
                    break;
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok((status, bytes))
        };
        match timeout_at(until, exchange).await {
            Ok(Ok((status, bytes))) => read(status, &serde_json::from_slice(&bytes).unwrap_or_default()),
            Ok(Err(error)) => {
                let error: reqwest::Error = error;
                Err(TokenError::Unavailable(format!(
                    "did not answer: {}",
                    for_display(&error.without_url().to_string())
                )))
            }
            Err(_) => Err(TokenError::Unavailable("did not answer in time".to_owned())),
        }
    }

    /// OpenAI's own clients have this address as a constant, whatever region their base URL is of. A stand-in for OpenAI
    /// plays it beside its API.
    fn exchange_url(&self) -> String {
        let host = self.base_url().host_str().unwrap_or_default();
        if host == "openai.com" || host.ends_with(".openai.com") {
            return EXCHANGE_URL.to_owned();
        }
        let mut url = self.base_url().clone();
        url.set_path("/oauth/token");
        url.into()
    }
}

fn read(status: u16, answer: &Value) -> Result<AccessToken, TokenError> {
    match status {
        200..=299 => {
            let text = answer["access_token"].as_str().filter(|text| !text.is_empty());
            let seconds = answer["expires_in"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            match (text, seconds) {
                (Some(text), Some(lifetime)) => Ok(AccessToken { text: text.to_owned(), lifetime }),
                _ => Err(TokenError::Unavailable("answered without a token and its lifetime".to_owned())),
            }
        }
        400 | 401 | 403 => {
            let said = |name: &str| answer[name].as_str().map(for_display);
            let nested = |name: &str| answer["error"][name].as_str().map(for_display);
            Err(TokenError::Refused {
                code: said("error").or_else(|| nested("code")).unwrap_or_else(|| format!("status {status}")),
                message: said("error_description")
                    .or_else(|| nested("message"))
                    .unwrap_or_else(|| "no reason given".to_owned()),
            })
        }
        _ => Err(TokenError::Unavailable(format!("answered {status}"))),
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base_url: &str) -> Client {
        Client::without_key(base_url).unwrap()
    }

    #[test]
    fn a_token_comes_with_its_lifetime_and_is_not_printed() {
        let token = read(200, &json!({"access_token": "ey-secret", "expires_in": 3600})).unwrap();
        assert_eq!((token.text.as_str(), token.lifetime), ("ey-secret", Duration::from_hours(1)));
        assert!(!format!("{token:?}").contains("secret"));
    }

    #[test]
    fn an_answer_without_a_token_or_with_an_impossible_lifetime_is_of_no_use() {
        for answer in [
            json!({"access_token": "t"}),
            json!({"access_token": "", "expires_in": 60}),
            json!({"access_token": "t", "expires_in": -1}),
            json!({"access_token": "t", "expires_in": 1e300}),
            json!([]),
        ] {
            assert!(matches!(read(200, &answer), Err(TokenError::Unavailable(_))), "{answer}");
        }
    }

    #[test]
    fn a_refusal_says_openai_s_code_and_words() {
        let oauth = json!({"error": "invalid_grant", "error_description": "The subject is not allowed."});
        let refused =
            |code: &str, message: &str| TokenError::Refused { code: code.to_owned(), message: message.to_owned() };
        assert_eq!(read(400, &oauth).unwrap_err(), refused("invalid_grant", "The subject is not allowed."));
        let api = json!({"error": {"code": "forbidden", "message": "No."}});
        assert_eq!(read(403, &api).unwrap_err(), refused("forbidden", "No."));
        assert_eq!(read(401, &Value::Null).unwrap_err(), refused("status 401", "no reason given"));
        assert!(matches!(read(503, &oauth), Err(TokenError::Unavailable(_))));
    }

    #[test]
    fn tokens_are_openai_s_own_unless_somebody_plays_openai() {
        assert_eq!(client("https://eu.api.openai.com/v1").exchange_url(), EXCHANGE_URL);
        assert_eq!(client("http://127.0.0.1:4010/v1").exchange_url(), "http://127.0.0.1:4010/oauth/token");
        assert_eq!(client("https://openai.com.example/v1").exchange_url(), "https://openai.com.example/oauth/token");
    }
}
