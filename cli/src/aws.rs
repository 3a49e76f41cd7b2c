//! Access to AWS as a person has it. Reading the stack is in `hooks_operate`.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use hooks_aws::{Config, Http, chain};

use crate::error::{CliError, Result};

pub(crate) use hooks_operate::dead_letters::{DeadLetter, DeadLetterQueue, DlqAction, DlqResult, QueueDepth};
pub(crate) use hooks_operate::event_log::{Entry, EventFilter, EventLog, Field, LedgerItem};
pub(crate) use hooks_operate::metrics::{oldest_ages, sums};
pub(crate) use hooks_operate::stack::Stack;

/// Time limit of one attempt of a call. Ten messages can have ten megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// Access from the environment, the shared configuration files, single sign-on or a role, as the AWS command line finds
/// it.
///
/// `profile` and `region` override `AWS_PROFILE` and `AWS_REGION`; `AWS_ENDPOINT_URL` is honoured. Credentials are
/// looked up at once, so that a missing one is an error here and not in the first call.
pub(crate) async fn config(profile: Option<&str>, region: Option<&str>) -> Result<Config> {
    let http = Http::new();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
    loader = loader.timeout_config(timeouts);
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let sdk = loader.load().await;
    if sdk.region().is_none() {
        return Err(CliError::service("no AWS region is set")
            .hint("Add --region, set AWS_REGION, or give the profile a region."));
    }
    let provider = sdk.credentials_provider().ok_or_else(|| no_credentials("none found"))?;
    let credentials = provider.provide_credentials().await.map_err(|error| no_credentials(&chain(&error)))?;
    Ok(Config::new(sdk, http, credentials))
}

fn no_credentials(cause: &str) -> CliError {
    CliError::service(format!("no AWS credentials: {cause}"))
        .hint("Sign in (`aws sso login`), choose a --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
}

/// The number of Lambda executions that all functions of the account and region may have at the same time. Needs
/// `lambda:GetAccountSettings`.
pub(crate) async fn concurrency_quota(config: &Config) -> Result<Option<i32>> {
    let settings = aws_sdk_lambda::Client::new(config.sdk()).get_account_settings().send().await;
    let settings = settings.map_err(|error| {
        CliError::service(format!("could not read the account's Lambda settings: {}", hooks_aws::cause(&error)))
    })?;
    Ok(settings.account_limit.map(|limit| limit.concurrent_executions))
}
