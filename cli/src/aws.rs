//! Calls to AWS that only the command line makes: a person's access, the stack, metrics, the event log, dead letters.

mod dead_letters;
mod event_log;
mod metrics;
mod stack;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::os_shim_internal::{Env, Fs};
use hooks_aws::{Config, Http, chain};

use crate::context::variable;
use crate::error::{CliError, Result};
use crate::output::shell_word;

pub(crate) use dead_letters::{DeadLetter, DeadLetterQueue, DlqAction, DlqResult, QueueDepth};
pub(crate) use event_log::{Entry, EventFilter, EventLog, LedgerItem};
pub(crate) use metrics::{oldest_ages, sums};
pub(crate) use stack::Stack;

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
    CliError::service(format!("no AWS credentials: {cause}")).hint(sign_in)
}

/// The number of Lambda executions that all functions of the account and region may have at the same time. Needs
/// `lambda:GetAccountSettings`.
pub(crate) async fn concurrency_quota(config: &Config) -> Result<Option<i32>> {
    let settings = aws_sdk_lambda::Client::new(config.sdk()).get_account_settings().send().await;
    let settings = settings.map_err(|error| failed("read the account's Lambda settings", &error))?;
    Ok(settings.account_limit.map(|limit| limit.concurrent_executions))
}

/// A call that failed after the SDK's own retries. `action` follows "could not".
fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> CliError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    call_failed(format!("could not {action}: {}", hooks_aws::cause(error)), None)
}

/// A failed call whose text has AWS's error code or the cause of a missing answer. `permission` is the next step if AWS
/// refused it for want of a permission.
pub(crate) fn call_failed(message: String, permission: Option<&str>) -> CliError {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let hint = if has(&["dispatch failure", "client error (Connect)", "timeout"]) {
        Some(unreachable_hint(&message))
    } else if has(&["ExpiredToken", "TokenRefreshRequired"]) {
        Some("The session has expired. Sign in again: aws sso login".to_owned())
    } else if has(&["RequestTimeTooSkewed", "RequestExpired", "Signature expired", "Signature not yet current"]) {
        Some("This machine's clock is wrong. Set it.".to_owned())
    } else if has(&["InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId", "SignatureDoesNotMatch"]) {
        Some(
            "AWS does not know this access key, or its secret is another one. Choose a --profile, or sign in."
                .to_owned(),
        )
    } else if has(&["AccessDenied", "NotAuthorized", "UnauthorizedOperation", "AuthorizationError"]) {
        permission.map(str::to_owned)
    } else if has(&["Throttl", "TooManyRequests", "SlowDown"]) {
        Some("Try again in a moment.".to_owned())
    } else {
        None
    };
    let error = CliError::service(message);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Next step where nothing answered.
fn unreachable_hint(message: &str) -> String {
    if message.contains("through the proxy") {
        return "Check the proxy in HTTPS_PROXY (NO_PROXY names hosts that need none).".to_owned();
    }
    match variable("AWS_ENDPOINT_URL") {
        Some(url) => format!(
            "AWS_ENDPOINT_URL is {url}: start what answers there (`make run` prints its address), or unset the variable."
        ),
        None if message.contains("dns error") => {
            "Check the region's name (--region, AWS_REGION, the profile's), and the network.".to_owned()
        }
        None => "Check the network. A proxy is taken from HTTPS_PROXY.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_of_a_failed_call_goes_by_what_happened() {
        let cases = [
            ("could not look up the stack x: AccessDenied: no", "needs x:Y"),
            ("could not look up the stack x: ExpiredToken: The security token is expired", "Sign in again"),
            ("could not x: InvalidClientTokenId: The security token included in the request is invalid", "access key"),
            ("could not x: RequestTimeTooSkewed: no", "clock"),
            ("could not x: dispatch failure: io error: client error (Connect): dns error", "region's name"),
            ("could not x: dispatch failure: through the proxy p:3128: tunnel error", "HTTPS_PROXY"),
            ("could not x: ThrottlingException: Rate exceeded", "in a moment"),
        ];
        for (message, expected) in cases {
            let hint = call_failed(message.to_owned(), Some("needs x:Y")).hint.unwrap_or_default();
            assert!(hint.contains(expected), "{message}: {hint}");
        }
        assert_eq!(call_failed("could not x: ValidationError: no".to_owned(), Some("needs x:Y")).hint, None);
    }

    #[test]
    fn a_machine_that_is_not_at_aws_is_told_of_no_metadata_service() {
        let error = no_credentials("the credential provider failed: failed to load IMDS session token", None);
        assert!(!error.message.contains("IMDS"), "{error}");
        let error = no_credentials("the SSO session has expired or is invalid", Some("prod"));
        assert_eq!(error.hint.as_deref(), Some("Sign in again: aws sso login --profile prod"));
    }
}
