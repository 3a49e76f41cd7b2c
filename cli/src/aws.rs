//! Access to AWS as a person has it. Reading the stack is in `hooks_operate`.

use std::time::Duration;

use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};
use hooks_aws::{Config, Http, chain};

use crate::context::variable;
use crate::error::{CliError, Result};
use crate::output::shell_word;

pub(crate) use hooks_operate::dead_letters::{DeadLetter, DeadLetterQueue, DlqAction, DlqResult, QueueDepth};
pub(crate) use hooks_operate::event_log::{Entry, EventFilter, EventLog, Field, LedgerItem};
pub(crate) use hooks_operate::metrics::{oldest_ages, sums};
pub(crate) use hooks_operate::stack::Stack;

/// Time limit of one attempt of a call. Ten messages can have ten megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// Access from the environment, the shared configuration files, single sign-on or a role, as the AWS command line finds
/// it.
///
/// A `profile` that is given has precedence over keys in the environment, and `region` over `AWS_REGION`;
/// `AWS_ENDPOINT_URL`, `HTTPS_PROXY` and `NO_PROXY` are honoured. Credentials are looked up at once, so that a missing one is
/// an error here and not in the first call.
pub(crate) async fn config(profile: Option<&str>, region: Option<&str>) -> Result<Config> {
    let named = profile.map(str::to_owned).or_else(|| variable("AWS_PROFILE"));
    if let Some(name) = &named {
        check_profile(name).await?;
    }
    let http = Http::through_proxies();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
    loader = loader.timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = profile {
        let settings = ProviderConfig::without_region().with_http_client(http.clone());
        let region = match region {
            Some(region) => Some(Region::new(region.to_owned())),
            None => ProfileFileRegionProvider::builder().profile_name(profile).build().region().await,
        };
        let credentials = ProfileFileCredentialsProvider::builder()
            .configure(&settings.with_region(region))
            .profile_name(profile)
            .build();
        loader = loader.profile_name(profile).credentials_provider(credentials);
    }
    let sdk = loader.load().await;
    if sdk.region().is_none() {
        return Err(CliError::service("no AWS region is set")
            .hint("Add --region, set AWS_REGION, or give the profile a region."));
    }
    let provider = sdk.credentials_provider().ok_or_else(|| no_credentials("", named.as_deref()))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| no_credentials(&chain(&error), named.as_deref()))?;
    Ok(Config::new(sdk, http, credentials))
}

/// Refuses the name of a profile that the shared configuration files do not have.
async fn check_profile(name: &str) -> Result<()> {
    let files = aws_config::profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), None).await;
    let files = files.map_err(|error| CliError::service(format!("AWS's configuration files: {}", chain(&error))))?;
    if files.get_profile(name).is_some() {
        return Ok(());
    }
    let mut present: Vec<&str> = files.profiles().collect();
    present.sort_unstable();
    let present =
        if present.is_empty() { "There are none.".to_owned() } else { format!("There are: {}.", present.join(", ")) };
    Err(CliError::service(format!("there is no AWS profile {name} in ~/.aws/config and ~/.aws/credentials"))
        .hint(format!("{present} Name one with --profile or AWS_PROFILE, or make it: aws configure sso")))
}

fn no_credentials(cause: &str, profile: Option<&str>) -> CliError {
    let of_profile = profile.map(|name| format!(" --profile {}", shell_word(name))).unwrap_or_default();
    let sign_in = format!("Sign in again: aws sso login{of_profile}");
    if ["expired", "SSO", "sso"].iter().any(|word| cause.contains(word)) {
        return CliError::service(format!("AWS single sign-on: {cause}")).hint(sign_in);
    }
    // The last place that is looked into is the metadata service of a machine at AWS, which this one is not.
    if profile.is_none() || cause.is_empty() || cause.contains("IMDS") {
        return CliError::service("no AWS credentials: neither in the environment nor in a profile").hint(
            "Choose a --profile, sign in (`aws sso login`), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        );
    }
    let error = CliError::service(format!("no AWS credentials: {cause}"));
    if cause.contains("external process") {
        return error.hint("Run the profile's credential_process by hand.");
    }
    error.hint(sign_in)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_not_at_aws_is_told_of_no_metadata_service() {
        let error = no_credentials("the credential provider failed: failed to load IMDS session token", None);
        assert!(!error.message.contains("IMDS"), "{error}");
        let error = no_credentials("the SSO session has expired or is invalid", Some("prod"));
        assert_eq!(error.hint.as_deref(), Some("Sign in again: aws sso login --profile prod"));
        let error = no_credentials("external process exited with code exit status: 1", Some("prod"));
        assert_eq!(error.hint.as_deref(), Some("Run the profile's credential_process by hand."));
    }
}
