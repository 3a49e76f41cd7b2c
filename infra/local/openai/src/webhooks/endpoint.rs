//! The endpoints that deliveries go to.

use axum::http::Uri;
use serde::{Deserialize, Serialize};

use super::signing::Secret;
use crate::ids::hex_id;

/// Who an endpoint belongs to. OpenAI sends two safety events to the organization's, and all others to a project's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    #[default]
    Project,
    Organization,
}

impl Scope {
    pub(crate) fn of(event_type: &str) -> Self {
        match event_type {
            "safety.warning_issued" | "safety.deactivation_issued" => Self::Organization,
            _ => Self::Project,
        }
    }
}

#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) scope: Scope,
    pub(super) url: Uri,
    pub(super) secrets: Vec<Secret>,
}

/// The command that adds an endpoint, or gives the one at this URL new secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    url: String,
    secret: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    endpoint: Scope,
}

impl Registration {
    pub(super) fn into_endpoint(self) -> Result<Endpoint, String> {
        let url: Uri = self.url.parse().map_err(|_| format!("{:?} is no URL", self.url))?;
        if url.scheme_str() != Some("http") || url.authority().is_none() {
            return Err(format!("{url} can't be delivered to: this stand-in speaks plain http:// only"));
        }
        let texts = self.secret.into_iter().chain(self.secrets);
        let secrets: Vec<Secret> = texts
            .map(|text| Secret::parse(&text))
            .collect::<Option<_>>()
            .ok_or("a secret is not whsec_ and base64 (none is shown here)")?;
        if secrets.is_empty() {
            return Err("give \"secret\", or \"secrets\" as a list".to_owned());
        }
        Ok(Endpoint { id: hex_id("endpoint_"), scope: self.endpoint, url, secrets })
    }
}

/// An endpoint as the control API shows it: its secrets are only counted.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    endpoint: Scope,
    url: String,
    secrets: usize,
}

impl From<&Endpoint> for Shown {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id.clone(),
            endpoint: endpoint.scope,
            url: endpoint.url.to_string(),
            secrets: endpoint.secrets.len(),
        }
    }
}
