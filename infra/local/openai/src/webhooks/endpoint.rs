//! Endpoints that are registered by command.

use axum::http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::PROJECT;
use super::signing::{Scheme, Secret};
use crate::ids::hex_id;

/// An endpoint as deliveries see it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) url: Uri,
    pub(super) scheme: Scheme,
    pub(super) secrets: Vec<Secret>,
}

impl Endpoint {
    /// The endpoint as the control API shows it: its secrets are only counted.
    pub(super) fn shown(&self) -> Value {
        let Self { id, name, url, scheme, secrets } = self;
        json!({ "id": id, "endpoint": name, "url": url.to_string(), "scheme": scheme, "secrets": secrets.len() })
    }
}

/// The command that registers an endpoint, or gives the one at this URL new secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    url: String,
    secret: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    endpoint: Option<String>,
    #[serde(default)]
    scheme: Scheme,
}

impl Registration {
    pub(super) fn into_endpoint(self) -> Result<Endpoint, String> {
        let url: Uri = self.url.parse().map_err(|_| format!("{:?} is not a URL", self.url))?;
        if url.scheme_str() != Some("http") || url.authority().is_none() {
            return Err(format!("{url} cannot be delivered to: this stand-in speaks plain http:// only"));
        }
        let scheme = self.scheme;
        let secrets: Option<Vec<Secret>> =
            self.secret.iter().chain(&self.secrets).map(|text| Secret::parse(scheme, text)).collect();
        let secrets = secrets.ok_or(match scheme {
            Scheme::StandardWebhooks => "a secret is not whsec_ and base64 (none is shown here)",
            Scheme::TimestampedHex => "a secret is empty",
        })?;
        match secrets.len() {
            0 => return Err("give \"secret\", or \"secrets\" as a list".to_owned()),
            2.. if scheme == Scheme::TimestampedHex => {
                return Err("timestamped-hex has one signature, so give one secret".to_owned());
            }
            _ => {}
        }
        let name = self.endpoint.unwrap_or_else(|| PROJECT.to_owned());
        Ok(Endpoint { id: hex_id("endpoint_"), name, url, scheme, secrets })
    }
}
