//! Context of a command: the stack, AWS and OpenAI, each looked up at first use.

use std::env;
use std::time::Duration;

use clap::Args;
use hooks_aws::ledger::Ledger;
use hooks_aws::secrets::{PLACEHOLDER, Store};
use hooks_openai::{ApiKey, ApiKeyError, Client, ClientConfig};
use hooks_webhook::Category;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::aws::{self, DeadLetterQueue, EventLog, Stack};
use crate::error::{CliError, Result};
use crate::output::Output;

/// Time limit of a call to OpenAI.
const OPENAI_TIMEOUT: Duration = Duration::from_mins(1);

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// Options that every command has.
#[derive(Args, Debug)]
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
    /// Print one JSON document instead of text
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
            self.stack.get_or_try_init(|| async { Stack::describe(self.aws().await?, &self.options.stack).await });
        found.await.map(Option::as_ref)
    }

    /// The stack.
    pub(crate) async fn stack(&self) -> Result<&Stack> {
        self.find_stack().await?.ok_or_else(|| {
            CliError::failed(format!("there is no stack {} in this account and region", self.options.stack))
                .hint("Name another one with --stack, choose a --region or --profile, or deploy it with `make deploy`.")
        })
    }

    /// An output of the stack.
    pub(crate) async fn output(&self, name: &str) -> Result<&str> {
        self.stack().await?.output(name)
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
        Ok(Ledger::new(self.aws().await?, self.output("TableName").await?))
    }

    /// The stack's events.
    pub(crate) async fn event_log(&self) -> Result<EventLog> {
        self.ledger().await.map(EventLog::new)
    }

    /// The stack's secrets.
    pub(crate) async fn secrets(&self) -> Result<Store> {
        Ok(Store::patient(self.aws().await?))
    }

    /// OpenAI, with the key in `OPENAI_API_KEY` or else the stack's.
    pub(crate) async fn openai(&self) -> Result<&Client> {
        self.openai
            .get_or_try_init(|| async { openai_client(&self.openai_base_url().await?, self.api_key().await?) })
            .await
    }

    /// `OPENAI_BASE_URL`, or else the stack's. No stack is needed if the environment has a key.
    async fn openai_base_url(&self) -> Result<String> {
        if let Some(url) = variable("OPENAI_BASE_URL") {
            return Ok(url);
        }
        let stack = if variable("OPENAI_API_KEY").is_some() {
            self.find_stack().await.unwrap_or_default()
        } else {
            Some(self.stack().await?)
        };
        Ok(base_url_of(stack))
    }

    async fn api_key(&self) -> Result<ApiKey> {
        const FIX: &str = "Store it with `openai-webhooks secret set api-key`, or set OPENAI_API_KEY.";
        let text = if let Some(text) = variable("OPENAI_API_KEY") {
            text
        } else {
            self.secrets().await?.text(self.output("OpenAIApiKeySecretArn").await?).await?
        };
        if text.trim() == PLACEHOLDER {
            return Err(CliError::failed("the stack's OpenAI API key was never set").hint(FIX));
        }
        text.parse().map_err(|error: ApiKeyError| CliError::usage(error.to_string()).hint(FIX))
    }
}

/// The address of OpenAI's API that the stack's functions use.
pub(crate) fn base_url_of(stack: Option<&Stack>) -> String {
    let url = stack.and_then(|stack| stack.parameters.get("OpenAIBaseUrl"));
    url.map_or_else(|| DEFAULT_BASE_URL.to_owned(), Clone::clone)
}

/// A client of OpenAI's API.
pub(crate) fn openai_client(base_url: &str, api_key: ApiKey) -> Result<Client> {
    let base_url = base_url.parse().map_err(|error| {
        CliError::usage(format!("OpenAI's base URL {base_url} is not a URL: {error}")).hint(
            "Set OPENAI_BASE_URL, or the stack's parameter OpenAIBaseUrl, to a URL such as https://api.openai.com/v1.",
        )
    })?;
    Client::new(ClientConfig { base_url, api_key }).map_err(|error| CliError::usage(error.to_string()))
}

/// Deadline of a call to OpenAI that begins now.
pub(crate) fn deadline() -> Instant {
    Instant::now() + OPENAI_TIMEOUT
}

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Prefix of a category's names in the template, such as `FineTuning`.
pub(crate) fn logical_id(category: Category) -> String {
    let capitalised = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    category.as_str().split('-').map(capitalised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_of_a_category_have_its_name_in_capitals() {
        assert_eq!(
            Category::ALL.map(logical_id).join(" "),
            "Batch Response FineTuning Realtime Agent Safety File Archive"
        );
    }
}
