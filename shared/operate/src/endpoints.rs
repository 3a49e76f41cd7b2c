//! The stack's endpoints: `project`, `organization`, and those of its parameter `AdditionalEndpoints`.

use std::collections::BTreeMap;

use hooks_aws::secrets::{PLACEHOLDER, Source as _, Stage, Store, Version};
use hooks_webhook::{Scheme, Secret};
use serde::Deserialize;

use crate::error::{OperateError, Result};
use crate::stack::Stack;

/// The endpoint of OpenAI's project.
pub const PROJECT: &str = "project";

/// The endpoint of OpenAI's organization.
pub const ORGANIZATION: &str = "organization";

/// The parameter with further endpoints: a JSON object from name to the secret's ARN, or to `{"secret": ARN, "scheme":
/// "timestamped-hex"}`.
const ADDITIONAL: &str = "AdditionalEndpoints";

/// An endpoint of the stack.
#[derive(Clone, Debug)]
pub struct StackEndpoint {
    /// Name, the last part of the URL.
    pub name: String,
    /// URL that OpenAI delivers to.
    pub url: String,
    /// ARN or name of its signing secret.
    pub secret_id: String,
    /// Scheme of its signatures.
    pub scheme: Scheme,
}

/// A value of `AdditionalEndpoints`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Setting {
    Secret(String),
    WithScheme { secret: String, scheme: Option<String> },
}

impl Stack {
    /// All endpoints of the stack.
    pub fn endpoints(&self) -> Result<Vec<StackEndpoint>> {
        let endpoint = |name: &str, url: &str, secret_id: &str, scheme| StackEndpoint {
            name: name.to_owned(),
            url: url.to_owned(),
            secret_id: secret_id.to_owned(),
            scheme,
        };
        let standard = Scheme::StandardWebhooks;
        let mut endpoints = vec![
            endpoint(PROJECT, self.output("ProjectWebhookUrl")?, self.output("ProjectSigningSecretArn")?, standard),
            endpoint(
                ORGANIZATION,
                self.output("OrganizationWebhookUrl")?,
                self.output("OrganizationSigningSecretArn")?,
                standard,
            ),
        ];
        let additional = self.parameters.get(ADDITIONAL).map_or("", |text| text.trim());
        if additional.is_empty() {
            return Ok(endpoints);
        }
        let invalid = |why: &str| {
            OperateError::failed(format!("the stack's parameter {ADDITIONAL} is not usable: {why}"))
                .hint("Its form is {\"NAME\": \"SECRET_ARN\"}, or {\"NAME\": {\"secret\": \"SECRET_ARN\", \"scheme\": \"timestamped-hex\"}}.")
        };
        let settings: BTreeMap<String, Setting> =
            serde_json::from_str(additional).map_err(|error| invalid(&error.to_string()))?;
        for (name, setting) in settings {
            let (secret, scheme) = match setting {
                Setting::Secret(secret) => (secret, None),
                Setting::WithScheme { secret, scheme } => (secret, scheme),
            };
            let scheme = scheme.map_or(Ok(standard), |scheme| scheme.parse());
            let scheme = scheme.map_err(|error: hooks_webhook::SchemeError| invalid(&error.to_string()))?;
            let url = self.output("AdditionalWebhookUrls")?.replace("{name}", &name);
            endpoints.push(endpoint(&name, &url, &secret, scheme));
        }
        Ok(endpoints)
    }

    /// The endpoint of this name.
    pub fn endpoint(&self, name: &str) -> Result<StackEndpoint> {
        let endpoints = self.endpoints()?;
        let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let hint = format!("Its endpoints are {}.", names.join(", "));
        endpoints
            .into_iter()
            .find(|endpoint| endpoint.name == name)
            .ok_or_else(|| OperateError::usage(format!("the stack {} has no endpoint {name}", self.name)).hint(hint))
    }
}

impl StackEndpoint {
    /// The current signing secret.
    pub async fn secret(&self, secrets: &Store) -> Result<Secret> {
        self.parse(&secrets.text(&self.secret_id).await?)
    }

    /// The version of the signing secret at a stage; `None` if it was never set.
    pub async fn version(&self, secrets: &Store, stage: Stage) -> Result<Option<Version>> {
        let version = secrets.read(&self.secret_id, stage).await?;
        Ok(version.filter(|version| version.text.trim() != PLACEHOLDER))
    }

    /// Checks that a new secret of the endpoint at OpenAI that delivers to `url` can be stored here.
    ///
    /// # Errors
    ///
    /// It delivers elsewhere, or the stack is rotating the secret itself: the endpoint that delivers here would be locked
    /// out.
    pub async fn takes_secret_of(&self, id: &str, url: &str, secrets: &Store) -> Result<()> {
        if url != self.url {
            return Err(OperateError::usage(format!("{id} delivers to {url}, not to the stack's {}", self.url))
                .hint("Its secret does not belong into this stack. Write it to a file with --secret-out FILE."));
        }
        let pending = self.version(secrets, Stage::Pending).await?;
        let current = self.version(secrets, Stage::Current).await?;
        match pending {
            Some(pending) if current.is_none_or(|current| current.id != pending.id) => {
                Err(OperateError::failed("the stack is rotating this secret itself").hint(format!(
                    "Wait until that rotation is over. If it does not end: aws secretsmanager cancel-rotate-secret \
                     --secret-id {}",
                    self.secret_id
                )))
            }
            _ => Ok(()),
        }
    }

    /// Parses the value of the stack's secret.
    pub fn parse(&self, text: &str) -> Result<Secret> {
        let name = &self.name;
        let fix = format!("Store it with `openai-webhooks secret set {name}`.");
        if text.trim() == PLACEHOLDER {
            let message = format!("the stack's signing secret of the endpoint {name} was never set");
            return Err(OperateError::failed(message).hint(fix));
        }
        Secret::parse_for(self.scheme, text)
            .map_err(|error| OperateError::failed(format!("the stack's {name} secret: {error}")).hint(fix))
    }
}

/// Checks the name of an endpoint.
pub fn endpoint_name(text: &str) -> std::result::Result<String, String> {
    let fits =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err("a name has lower-case letters, digits and hyphens".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(additional: &str) -> Result<Vec<StackEndpoint>> {
        let outputs = [
            ("ProjectWebhookUrl", "https://a/webhooks/project"),
            ("OrganizationWebhookUrl", "https://a/webhooks/organization"),
            ("AdditionalWebhookUrls", "https://a/webhooks/{name}"),
            ("ProjectSigningSecretArn", "arn:1"),
            ("OrganizationSigningSecretArn", "arn:2"),
        ];
        let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let parameters = [(ADDITIONAL.to_owned(), additional.to_owned())].into();
        let (id, name, status) = (String::new(), "s".to_owned(), String::new());
        Stack { id, name, status, parameters, outputs }.endpoints()
    }

    #[test]
    fn additional_endpoints_have_a_secret_and_may_have_a_scheme() {
        let found = endpoints(r#"{"billing":"arn:3","relay":{"secret":"arn:4","scheme":"timestamped-hex"}}"#).unwrap();
        let described: Vec<_> =
            found[2..].iter().map(|one| (one.url.as_str(), one.secret_id.as_str(), one.scheme)).collect();
        assert_eq!(
            described,
            [
                ("https://a/webhooks/billing", "arn:3", Scheme::StandardWebhooks),
                ("https://a/webhooks/relay", "arn:4", Scheme::TimestampedHex)
            ]
        );
        assert_eq!(["", "{}"].map(|none| endpoints(none).unwrap().len()), [2, 2]);
        for other in ["[]", r#"{"a":7}"#, r#"{"a":{"secret":"arn:3","scheme":"md5"}}"#] {
            assert!(endpoints(other).is_err(), "{other}");
        }
    }
}
