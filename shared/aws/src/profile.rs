//! Region and credentials as the AWS command line finds them, for programs that people run.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;

use crate::cause::chain;
use crate::config::Config;
use crate::http::Http;

/// Why there is no access to AWS. Says where was looked, never what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Neither the caller, nor the environment, nor the profile names a region.
    #[error("no AWS region is set")]
    NoRegion,
    /// None of the places has credentials, or those that it has are of no use, such as an expired single sign-on.
    #[error("no AWS credentials: {0}")]
    NoCredentials(String),
}

impl Config {
    /// From the environment, the shared configuration files, single sign-on or a role: whatever the profile says.
    ///
    /// `profile` and `region` override `AWS_PROFILE` and `AWS_REGION`; `AWS_ENDPOINT_URL` is honoured. The credentials
    /// are looked up at once, so that their absence shows here and not in the first call.
    pub async fn of_profile(profile: Option<&str>, region: Option<&str>) -> Result<Self, ProfileError> {
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
            return Err(ProfileError::NoRegion);
        }
        let provider =
            sdk.credentials_provider().ok_or_else(|| ProfileError::NoCredentials("none found".to_owned()))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| ProfileError::NoCredentials(chain(&error)))?;
        Ok(Self::of_sdk(sdk, http, credentials))
    }
}
