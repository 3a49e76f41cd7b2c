//! The signing secrets that commands work with, and the endpoints of a stack that they belong to.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hooks_aws::secrets::{PLACEHOLDER, Source as _, Stage, Version};
use hooks_webhook::Secret;

use crate::context::{Context, variable};
use crate::failure::Failure;
use crate::input;

/// An endpoint of the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Endpoint {
    /// The project's
    #[default]
    Project,
    /// The organization's
    Organization,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 2] = [Self::Project, Self::Organization];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Organization => "organization",
        }
    }

    /// The output with its URL.
    pub(crate) const fn url_output(self) -> &'static str {
        match self {
            Self::Project => "ProjectWebhookUrl",
            Self::Organization => "OrganizationWebhookUrl",
        }
    }

    /// The output with its secret's ARN.
    pub(crate) const fn secret_output(self) -> &'static str {
        match self {
            Self::Project => "ProjectSigningSecretArn",
            Self::Organization => "OrganizationSigningSecretArn",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Project => Self::Organization,
            Self::Organization => Self::Project,
        }
    }
}

/// Which signing secret to use. It is never an argument itself: those are seen by everybody on the machine.
#[derive(Args, Clone, Debug)]
pub(crate) struct SecretArgs {
    /// Which of the stack's endpoints [default: project]
    #[arg(long, value_enum)]
    pub(crate) endpoint: Option<Endpoint>,
    /// Read the signing secret from a file (`-` for stdin), not from the stack. Without this and
    /// without --endpoint, `OPENAI_WEBHOOK_SECRET` is used if it is set
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

/// A secret that was found, with what to call it.
pub(crate) struct Found {
    pub(crate) secret: Secret,
    pub(crate) name: String,
}

impl SecretArgs {
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.unwrap_or_default()
    }

    /// Whether the secret is to be read from stdin.
    pub(crate) fn takes_stdin(&self) -> bool {
        self.secret_file.as_deref().is_some_and(input::is_stdin)
    }

    /// The secret that was given past the stack.
    pub(crate) fn given(&self) -> Result<Option<Found>, Failure> {
        let (text, name) = match &self.secret_file {
            Some(file) => (input::secret(file)?, shown(file)),
            None if self.endpoint.is_none() => match variable("OPENAI_WEBHOOK_SECRET") {
                Some(text) => (text, "the secret of OPENAI_WEBHOOK_SECRET".to_owned()),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        let secret = Secret::parse(&text).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        Ok(Some(Found { secret, name }))
    }

    /// The secret to sign with: what was given, or else the stack's current one.
    pub(crate) async fn current(&self, context: &Context) -> Result<Secret, Failure> {
        match self.given()? {
            Some(found) => Ok(found.secret),
            None => stack_secret(context, self.endpoint()).await,
        }
    }
}

fn shown(file: &Path) -> String {
    if input::is_stdin(file) { "the secret of stdin".to_owned() } else { format!("the secret of {}", file.display()) }
}

/// The three headers that OpenAI signs a delivery with.
pub(crate) fn headers(secret: &Secret, webhook_id: &str, timestamp: u64, body: &[u8]) -> [(&'static str, String); 3] {
    let signature = secret.sign(webhook_id, timestamp, body);
    [
        ("webhook-id", webhook_id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signature),
    ]
}

/// The stack's current signing secret of an endpoint.
pub(crate) async fn stack_secret(context: &Context, endpoint: Endpoint) -> Result<Secret, Failure> {
    let id = context.output(endpoint.secret_output()).await?;
    let text = context.secrets().await?.text(id).await?;
    parse(endpoint, &text)
}

/// The stack's version of a signing secret at a stage, if there is one that was ever set.
pub(crate) async fn stack_version(
    context: &Context,
    endpoint: Endpoint,
    stage: Stage,
) -> Result<Option<Version>, Failure> {
    let id = context.output(endpoint.secret_output()).await?;
    let version = context.secrets().await?.read(id, stage).await?;
    Ok(version.filter(|version| version.text.trim() != PLACEHOLDER))
}

/// Reads what the stack's secret holds.
pub(crate) fn parse(endpoint: Endpoint, text: &str) -> Result<Secret, Failure> {
    let fix = format!("Store it with `openai-webhooks secret set {}`.", endpoint.as_str());
    if text.trim() == PLACEHOLDER {
        let message = format!("the stack's signing secret of the {} endpoint was never set", endpoint.as_str());
        return Err(Failure::no(message).hint(fix));
    }
    Secret::parse(text)
        .map_err(|error| Failure::no(format!("the stack's {} secret: {error}", endpoint.as_str())).hint(fix))
}
