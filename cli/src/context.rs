//! Context of a command: the stack, AWS and OpenAI, each looked up at first use.

use std::env;
use std::time::Duration;

use aws_config::Region;
use clap::Args;
use hooks_aws::ledger::{Ledger, RETENTION_DAYS};
use hooks_aws::secrets::Store;
use hooks_function::ApiKeySecret;
use hooks_openai::{ApiKeyError, Client};
use hooks_operate::stack::logical_id;
use hooks_webhook::Category;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::aws::{self, DeadLetterQueue, EventLog, Stack};
use crate::error::{CliError, KEY_FIX, Result};
use crate::output::Output;

/// Time limit of a call to OpenAI.
const OPENAI_TIMEOUT: Duration = Duration::from_mins(1);

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// Options that every command has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Name of the stack
    #[arg(long, global = true, env = "OPENAI_WEBHOOKS_STACK", default_value = "openai-webhooks", value_name = "NAME")]
    pub(crate) stack: String,
    /// AWS region [default: the profile's]
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// AWS profile [default: the environment's]
    #[arg(long, global = true, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Print JSON instead of text: one document, or one on each line where there are many
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Context of a command.
pub(crate) struct Context {
    pub(crate) options: GlobalArgs,
    pub(crate) out: Output,
    aws: OnceCell<hooks_aws::Config>,
    stack: OnceCell<Option<Stack>>,
    openai: OnceCell<Client>,
}

impl Context {
    pub(crate) fn new(options: GlobalArgs) -> Self {
        let out = Output { json: options.json };
        Self { options, out, aws: OnceCell::new(), stack: OnceCell::new(), openai: OnceCell::new() }
    }

    /// Access to AWS.
    pub(crate) async fn aws(&self) -> Result<&hooks_aws::Config> {
        let GlobalArgs { profile, region, .. } = &self.options;
        self.aws.get_or_try_init(|| aws::config(profile.as_deref(), region.as_deref())).await
    }

    /// The stack, if it exists.
    pub(crate) async fn find_stack(&self) -> Result<Option<&Stack>> {
        let found =
            self.stack.get_or_try_init(|| async { Ok(Stack::describe(self.aws().await?, &self.options.stack).await?) });
        found.await.map(Option::as_ref)
    }

    /// The stack.
    pub(crate) async fn stack(&self) -> Result<&Stack> {
        match self.find_stack().await? {
            Some(stack) => Ok(stack),
            None => Err(CliError::failed(self.no_stack().await?).hint(
                "Name another one with --stack, choose a --region or --profile, or deploy it with `make deploy`.",
            )),
        }
    }

    /// Sentence about a stack that does not exist.
    pub(crate) async fn no_stack(&self) -> Result<String> {
        let region = self.aws().await?.sdk().region().map_or("", Region::as_ref);
        let profile = self.options.profile.clone().or_else(|| variable("AWS_PROFILE"));
        let account = profile
            .map_or_else(|| "this account".to_owned(), |profile| format!("the account of the profile {profile}"));
        Ok(format!("there is no stack {} in {region} of {account}", self.options.stack))
    }

    /// An output of the stack.
    pub(crate) async fn output(&self, name: &str) -> Result<&str> {
        Ok(self.stack().await?.output(name)?)
    }

    /// A parameter of the stack; `None` if it has none of that name.
    pub(crate) async fn parameter(&self, name: &str) -> Result<Option<&str>> {
        Ok(self.stack().await?.parameters.get(name).map(String::as_str))
    }

    /// Whether the stack handles a category.
    pub(crate) async fn is_handled(&self, category: Category) -> Result<bool> {
        Ok(self.parameter(&format!("{}Enabled", logical_id(category))).await? != Some("false"))
    }

    /// The URL of a category's queue.
    pub(crate) async fn queue_url(&self, category: Category) -> Result<&str> {
        self.output(&format!("{}QueueUrl", logical_id(category))).await
    }

    /// A category's queue with its dead-letter queue.
    pub(crate) async fn dead_letter_queue(&self, category: Category) -> Result<DeadLetterQueue> {
        let dead = self.output(&format!("{}DeadLetterQueueUrl", logical_id(category))).await?;
        Ok(DeadLetterQueue::new(self.aws().await?, self.queue_url(category).await?, dead))
    }

    /// The stack's ledger.
    pub(crate) async fn ledger(&self) -> Result<Ledger> {
        let ledger = Ledger::new(self.aws().await?, self.output("TableName").await?);
        Ok(ledger.keeping(self.retention_days().await?))
    }

    /// Days that the stack keeps events after they were last handled.
    pub(crate) async fn retention_days(&self) -> Result<u64> {
        let days = self.parameter("EventRetentionDays").await?;
        Ok(days.and_then(|days| days.parse().ok()).unwrap_or(RETENTION_DAYS))
    }

    /// The stack's events.
    pub(crate) async fn event_log(&self) -> Result<EventLog> {
        let days = i64::try_from(self.retention_days().await?).unwrap_or(i64::MAX);
        self.ledger().await.map(|ledger| EventLog::new(ledger).keeping(days))
    }

    /// The stack's secrets.
    pub(crate) async fn secrets(&self) -> Result<Store> {
        Ok(Store::patient(self.aws().await?))
    }

    /// OpenAI: with the key in `OPENAI_API_KEY`, at `OPENAI_BASE_URL` or else the stack's address; or else with the stack's
    /// key, at the stack's address alone, since who sets a variable may not be meant to see that key.
    pub(crate) async fn openai(&self) -> Result<&Client> {
        self.openai
            .get_or_try_init(|| async {
                let Some(key) = variable("OPENAI_API_KEY") else {
                    return Ok(self.api_key_secret().await?.client().await?);
                };
                let key = key.parse().map_err(|error: ApiKeyError| CliError::usage(error.to_string()).hint(KEY_FIX))?;
                // No stack is needed.
                let url = match variable("OPENAI_BASE_URL") {
                    Some(url) => url,
                    None => base_url_of(self.find_stack().await.unwrap_or_default()),
                };
                Ok(openai_client(&url)?.with_api_key(key))
            })
            .await
    }

    /// The stack's API key, for calls to the address that the stack's functions use.
    pub(crate) async fn api_key_secret(&self) -> Result<ApiKeySecret> {
        let stack = self.stack().await?;
        let url = base_url_of(Some(stack));
        if variable("OPENAI_BASE_URL").is_some_and(|other| other != url) && !self.out.json {
            self.out.note(&format!(
                "OPENAI_BASE_URL is not used: the stack's key goes to {url} alone. Set OPENAI_API_KEY, too, to call another \
                 address."
            ));
        }
        let client = openai_client(&url)?;
        let id = stack.output("OpenAIApiKeySecretArn")?.to_owned();
        Ok(ApiKeySecret::new(client, self.secrets().await?, id))
    }
}

/// The address of OpenAI's API that the stack's functions use.
fn base_url_of(stack: Option<&Stack>) -> String {
    let url = stack.and_then(|stack| stack.parameters.get("OpenAIBaseUrl"));
    url.map_or_else(|| DEFAULT_BASE_URL.to_owned(), Clone::clone)
}

/// A client of OpenAI's API without a key.
fn openai_client(base_url: &str) -> Result<Client> {
    Client::without_key(base_url).map_err(|error| {
        CliError::usage(format!("OpenAI's base URL {base_url} {error}")).hint(
            "Set OPENAI_BASE_URL, or the stack's parameter OpenAIBaseUrl, to a URL such as https://api.openai.com/v1.",
        )
    })
}

/// Deadline of a call to OpenAI that begins now.
pub(crate) fn deadline() -> Instant {
    Instant::now() + OPENAI_TIMEOUT
}

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
