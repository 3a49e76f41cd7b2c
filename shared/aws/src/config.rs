//! Region, credentials and HTTP client shared by all AWS clients of a function.

use crate::environment::Environment;
use crate::http::Http;
use ::http::Uri;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::provider_config::ProviderConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use std::fmt;

/// Configuration of the AWS clients: created once at init, cheap to clone.
///
/// The credentials are those in Lambda's environment. They outlive the process, so there is no provider chain, no cache and
/// no refresh. Callers limit the time of every body, so stalled-stream protection is off. Each of these would lengthen the
/// cold start.
#[derive(Clone)]
pub struct Config {
    sdk: SdkConfig,
    http: Http,
    credentials: Credentials,
}

impl Config {
    /// From `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and `AWS_ENDPOINT_URL` for a
    /// local stand-in for AWS.
    pub fn from_env(environment: &mut Environment) -> Option<Self> {
        let region = environment.required("AWS_REGION");
        let key = environment.required("AWS_ACCESS_KEY_ID");
        let secret = environment.required("AWS_SECRET_ACCESS_KEY");
        let token = environment.optional("AWS_SESSION_TOKEN");
        let endpoint = endpoint(environment);
        let credentials = Credentials::new(key?, secret?, token, None, "Lambda environment");
        let http = Http::new();
        let mut sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region?))
            .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(http.clone());
        sdk.set_endpoint_url(endpoint);
        Some(Self::new(sdk.build(), http, credentials))
    }

    /// From `AWS_REGION`, the credentials that a container's host gives and renews (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`
    /// or `AWS_CONTAINER_CREDENTIALS_FULL_URI`), and `AWS_ENDPOINT_URL` for a local stand-in for AWS. A container outlives its credentials, so the clients ask for them anew.
    ///
    /// What calls AWS without the SDK's clients and with fixed credentials, the verifier's queues, has none here.
    pub fn from_container(environment: &mut Environment) -> Option<Self> {
        let region = environment.required("AWS_REGION");
        let endpoint = endpoint(environment);
        let http = Http::new();
        let asked = ProviderConfig::empty().with_http_client(http.clone());
        let provider = EcsCredentialsProvider::builder().configure(&asked).build();
        let mut sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region?))
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .identity_cache(IdentityCache::lazy().build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(http.clone());
        sdk.set_endpoint_url(endpoint);
        Some(Self::new(sdk.build(), http, Credentials::new("", "", None, None, "container")))
    }

    /// From an SDK configuration with this HTTP client and these credentials.
    #[must_use]
    pub fn new(sdk: SdkConfig, http: Http, credentials: Credentials) -> Self {
        Self { sdk, http, credentials }
    }

    /// Configuration for the SDK's clients.
    #[must_use]
    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// HTTP client for calls without the SDK.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Credentials for calls without the SDK.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Custom endpoint of all services, if set.
    pub(crate) fn endpoint(&self) -> Option<Uri> {
        self.sdk.endpoint_url().and_then(|url| url.parse().ok())
    }

    /// Name of the region.
    pub(crate) fn region(&self) -> &str {
        self.sdk.region().map_or("", Region::as_ref)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("region", &self.sdk.region()).finish_non_exhaustive()
    }
}

fn endpoint(environment: &mut Environment) -> Option<String> {
    let endpoint = environment.optional("AWS_ENDPOINT_URL");
    if endpoint.as_deref().is_some_and(|url| !is_http_url(url)) {
        environment.fault("AWS_ENDPOINT_URL", "is not an http:// or https:// URL");
    }
    endpoint
}

fn is_http_url(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}
