//! `sign`: the headers of a delivery; signing secrets from options.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hooks_webhook::{Scheme, Secret};
use serde_json::{Map, Value, json};

use crate::context::{Context, variable};
use crate::error::{CliError, Result};
use crate::input;
use crate::output::shell_word;
use crate::samples::random_hex;
use crate::stack_endpoints::{PROJECT, StackEndpoint, endpoint_name};
use crate::timestamp::now;

/// Print the headers that OpenAI would send with a body
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// File with the body, byte for byte (`-` for stdin)
    file: PathBuf,
    #[command(flatten)]
    secret: SecretArgs,
    /// webhook-id of the delivery [default: a new one]
    #[arg(long, value_parser = parse_webhook_id)]
    id: Option<String>,
    /// Time of the delivery: Unix seconds or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    timestamp: Option<u64>,
    /// Print a curl command that makes the delivery
    #[arg(long)]
    curl: bool,
    /// URL in the curl command [default: the stack's endpoint]
    #[arg(long, requires = "curl")]
    url: Option<String>,
}

pub(crate) async fn run(args: SignArgs, context: &Context) -> Result {
    args.secret.check_stdin(input::is_stdin(&args.file))?;
    let body = input::bytes(&args.file, input::MAX_BODY)?;
    let secret = args.secret.secret(context).await?;
    let id = webhook_id_for(&secret, args.id.as_deref())?;
    let headers = headers(&secret, id.as_deref(), args.timestamp.unwrap_or_else(now), &body);
    let curl = match (args.curl, args.url) {
        (false, _) => None,
        (true, Some(url)) => Some(curl(&url, &headers, &args.file.to_string_lossy())),
        (true, None) => {
            let url = args.secret.stack_endpoint(context).await?.url;
            Some(curl(&url, &headers, &args.file.to_string_lossy()))
        }
    };
    if body.len() > hooks_webhook::MAX_BODY {
        context.out.note("note: the body is longer than 256 KiB; every endpoint of this project refuses it");
    }
    let named: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    context.out.result(&json!({ "headers": named, "curl": curl }), || {
        let lines = || headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n");
        curl.clone().unwrap_or_else(lines)
    })
}

fn curl(url: &str, headers: &[(&str, String)], file: &str) -> String {
    let mut command = "curl --include --header 'content-type: application/json'".to_owned();
    for (name, value) in headers {
        let _ = write!(command, " \\\n  --header {}", shell_word(&format!("{name}: {value}")));
    }
    command + &format!(" \\\n  --data-binary {} {}", shell_word(&format!("@{file}")), shell_word(url))
}

/// Choice of a signing secret. The secret itself is never an argument: arguments are visible to everyone on the machine.
#[derive(Args, Clone, Debug)]
pub(crate) struct SecretArgs {
    /// Endpoint of the stack: project, organization or an additional one [default: project]
    #[arg(long, value_name = "NAME", value_parser = endpoint_name)]
    endpoint: Option<String>,
    /// Read the signing secret from a file (`-` for stdin) instead of the stack. Without this and without --endpoint,
    /// `OPENAI_WEBHOOK_SECRET` is used if it is set
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Signature scheme: standard-webhooks or timestamped-hex [default: the endpoint's, or standard-webhooks]
    #[arg(long, value_name = "SCHEME")]
    scheme: Option<Scheme>,
}

/// A secret with its name in messages.
pub(crate) struct NamedSecret {
    pub(crate) secret: Secret,
    pub(crate) name: String,
}

impl SecretArgs {
    /// The endpoint of the stack. A scheme that was given replaces its own.
    pub(crate) async fn stack_endpoint(&self, context: &Context) -> Result<StackEndpoint> {
        let endpoint = context.stack().await?.endpoint(self.endpoint.as_deref().unwrap_or(PROJECT))?;
        Ok(StackEndpoint { scheme: self.scheme.unwrap_or(endpoint.scheme), ..endpoint })
    }

    /// Fails if stdin is the source of both the body and the secret.
    pub(crate) fn check_stdin(&self, body_is_stdin: bool) -> Result<()> {
        if body_is_stdin && self.reads_stdin() {
            return Err(CliError::usage("stdin cannot be both the body and the secret"));
        }
        Ok(())
    }

    /// Whether the secret is read from stdin.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.secret_file.as_deref().is_some_and(input::is_stdin)
    }

    /// A secret from a file or the environment.
    pub(crate) fn explicit(&self) -> Result<Option<NamedSecret>> {
        let (text, name) = match &self.secret_file {
            Some(file) if input::is_stdin(file) => (input::secret(file)?, "the secret on stdin".to_owned()),
            Some(file) => (input::secret(file)?, format!("the secret in {}", file.display())),
            None => match variable("OPENAI_WEBHOOK_SECRET").filter(|_| self.endpoint.is_none()) {
                Some(text) => (text, "the secret in OPENAI_WEBHOOK_SECRET".to_owned()),
                None => return Ok(None),
            },
        };
        let secret = Secret::parse_for(self.scheme.unwrap_or_default(), &text);
        let secret = secret.map_err(|error| CliError::usage(format!("{name}: {error}")))?;
        Ok(Some(NamedSecret { secret, name }))
    }

    /// The secret to sign with: from a file or the environment, or else the stack's current one.
    pub(crate) async fn secret(&self, context: &Context) -> Result<Secret> {
        match self.explicit()? {
            Some(found) => Ok(found.secret),
            None => Ok(self.stack_endpoint(context).await?.secret(&context.secrets().await?).await?),
        }
    }
}

/// The `webhook-id` of a delivery: the given one, or a new one. The scheme timestamped-hex has none.
pub(crate) fn webhook_id_for(secret: &Secret, id: Option<&str>) -> Result<Option<String>> {
    match (secret.scheme(), id) {
        (Scheme::StandardWebhooks, id) => Ok(Some(id.map_or_else(|| format!("wh_{}", random_hex()), str::to_owned))),
        (Scheme::TimestampedHex, None) => Ok(None),
        (Scheme::TimestampedHex, Some(_)) => {
            Err(CliError::usage("--id has no use with the scheme timestamped-hex, which has no webhook-id"))
        }
    }
}

/// Parses a `webhook-id`: text that fits into a header and is signed unchanged.
pub(crate) fn parse_webhook_id(text: &str) -> std::result::Result<String, String> {
    if (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        Ok(text.to_owned())
    } else {
        Err("an id is 1 to 256 visible ASCII characters without a comma, such as wh_123".to_owned())
    }
}

/// The headers that sign a delivery, by the secret's scheme.
pub(crate) fn headers(
    secret: &Secret,
    webhook_id: Option<&str>,
    timestamp: u64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    match (secret.scheme(), webhook_id) {
        (Scheme::StandardWebhooks, Some(id)) => vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", secret.sign(id, timestamp, body)),
        ],
        _ => vec![
            ("x-openai-timestamp", timestamp.to_string()),
            ("x-openai-signature", secret.sign_timestamped(timestamp, body)),
        ],
    }
}
