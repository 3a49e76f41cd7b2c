//! The account's quota of concurrent Lambda executions. Needs `lambda:GetAccountSettings`.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use hooks_aws::Config;

use super::failed;
use crate::error::Result;

/// Time limit of one attempt of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of executions that all functions of the account and region may have at the same time.
pub(crate) async fn concurrency_quota(config: &Config) -> Result<Option<i32>> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let client = Client::from_conf(Builder::from(config.sdk()).timeout_config(timeouts).build());
    let settings = client.get_account_settings().send().await;
    let settings = settings.map_err(|error| failed("read the account's Lambda settings", &error))?;
    Ok(settings.account_limit.map(|limit| limit.concurrent_executions))
}
