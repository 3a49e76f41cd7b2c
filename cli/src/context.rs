//! What commands work with: the stack, AWS and OpenAI, each looked up when it is first needed.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use hooks_aws::secrets::{PLACEHOLDER, Store};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::aws::{self, Stack};
use crate::failure::Failure;
use crate::output::Output;

/// How long a call to OpenAI may take.
const OPENAI_TIMEOUT: Duration = Duration::from_mins(1);

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// The options that every command has.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The stack to work on
    #[arg(long, global = true, env = "OPENAI_WEBHOOKS_STACK", default_value = "openai-webhooks", value_name = "NAME")]
    pub(crate) stack: String,
    /// The AWS region, if not the profile's
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The AWS profile, if not the environment's
    #[arg(long, global = true, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What a command works with.
pub(crate) struct Context {
    pub(crate) options: Global,
    pub(crate) out: Output,
    aws: OnceCell<hooks_aws::Config>,
    stack: OnceCell<Option<Stack>>,
    openai: OnceCell<hooks_openai::Client>,
}

impl Context {
    pub(crate) fn new(options: Global) -> Self {
        let out = Output { json: options.json };
        Self { options, out, aws: OnceCell::new(), stack: OnceCell::new(), openai: OnceCell::new() }
    }

    /// Access to AWS.
    pub(crate) async fn aws(&self) -> Result<&hooks_aws::Config, Failure> {
        let Global { profile, region, .. } = &self.options;
        self.aws.get_or_try_init(|| aws::config(profile.as_deref(), region.as_deref())).await
    }

    /// The stack, if there is one.
    pub(crate) async fn find_stack(&self) -> Result<Option<&Stack>, Failure> {
        let found =
            self.stack.get_or_try_init(|| async { Stack::describe(self.aws().await?, &self.options.stack).await });
        found.await.map(Option::as_ref)
    }

    /// The stack.
    pub(crate) async fn stack(&self) -> Result<&Stack, Failure> {
        self.find_stack().await?.ok_or_else(|| {
            Failure::no(format!("there is no stack {} in this account and region", self.options.stack))
                .hint("Name another one with --stack, choose a --region or --profile, or deploy it with `make deploy`.")
        })
    }

    /// An output of the stack.
    pub(crate) async fn output(&self, name: &str) -> Result<&str, Failure> {
        let stack = self.stack().await?;
        stack.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Failure::no(format!("the stack {} has no output {name}", stack.name))
                .hint("Is it a stack of this project? If it is an older one, update it with `make deploy`.")
        })
    }

    /// A parameter of the stack; `None` where it has none of that name.
    pub(crate) async fn parameter(&self, name: &str) -> Result<Option<&str>, Failure> {
        Ok(self.stack().await?.parameters.get(name).map(String::as_str))
    }

    /// The stack's secrets.
    pub(crate) async fn secrets(&self) -> Result<Store, Failure> {
        Ok(Store::patient(self.aws().await?))
    }

    /// OpenAI, with the key of `OPENAI_API_KEY` or else the stack's.
    pub(crate) async fn openai(&self) -> Result<&hooks_openai::Client, Failure> {
        self.openai
            .get_or_try_init(|| async {
                let api_key = self.api_key().await?;
                let base_url = self.openai_base_url().await?;
                let base_url = base_url.parse().map_err(|error| {
                    Failure::usage(format!("OpenAI's base URL {base_url} is no URL: {error}"))
                        .hint("Set OPENAI_BASE_URL to something like https://api.openai.com/v1.")
                })?;
                hooks_openai::Client::new(hooks_openai::ClientConfig { base_url, api_key })
                    .map_err(|error| Failure::usage(error.to_string()))
            })
            .await
    }

    /// `OPENAI_BASE_URL`, or else the stack's. With a key from the environment a stack need not be there.
    async fn openai_base_url(&self) -> Result<String, Failure> {
        if let Some(url) = variable("OPENAI_BASE_URL") {
            return Ok(url);
        }
        let stack = if variable("OPENAI_API_KEY").is_some() {
            self.find_stack().await.unwrap_or_default()
        } else {
            Some(self.stack().await?)
        };
        let url = stack.and_then(|stack| stack.parameters.get("OpenAIBaseUrl"));
        Ok(url.map_or_else(|| DEFAULT_BASE_URL.to_owned(), Clone::clone))
    }

    async fn api_key(&self) -> Result<hooks_openai::ApiKey, Failure> {
        const FIX: &str = "Store it with `openai-webhooks secret set api-key`, or set OPENAI_API_KEY.";
        let text = if let Some(text) = variable("OPENAI_API_KEY") {
            text
        } else {
            let id = self.output("OpenAIApiKeySecretArn").await?;
            self.secrets().await?.text(id).await?
        };
        if text.trim() == PLACEHOLDER {
            return Err(Failure::no("the stack's OpenAI API key was never set").hint(FIX));
        }
        text.parse().map_err(|error: hooks_openai::ApiKeyError| Failure::usage(error.to_string()).hint(FIX))
    }
}

/// By when a call to OpenAI must be over.
pub(crate) fn deadline() -> Instant {
    Instant::now() + OPENAI_TIMEOUT
}

/// The time in seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
