//! Region and credentials, found as the AWS command line finds them.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use hooks_aws::{Config, Http, chain};

use crate::error::{CliError, Result};

/// Access from the environment, the shared configuration files, single sign-on or a role, as the profile says.
///
/// `profile` and `region` override `AWS_PROFILE` and `AWS_REGION`; `AWS_ENDPOINT_URL` is honoured. Credentials are
/// looked up at once, so that a missing one is an error here and not in the first call.
pub(crate) async fn config(profile: Option<&str>, region: Option<&str>) -> Result<Config> {
    let http = Http::new();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
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
