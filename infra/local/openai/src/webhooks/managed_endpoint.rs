//! Endpoints that are managed through `/v1`, and their secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::PROJECT;
use super::endpoint::Endpoint;
use super::signing::{Scheme, Secret};
use crate::ids::{hex_id, now, now_ms};
use crate::store::Object;

const SECRET_BYTES: usize = 32;

/// How long a kept old secret signs beside the new one.
const OLD_SECRET_LIFETIME_MS: i64 = 24 * 3600 * 1000;

/// The length of the secret's end that its hint shows.
const HINT: usize = 4;

pub(super) type ManagedEndpoint = Object<Secrets>;

#[derive(Clone)]
pub(super) struct Secrets {
    current: String,
    /// A replaced secret, and until when it signs, in milliseconds since the epoch.
    old: Option<(String, i64)>,
}

impl ManagedEndpoint {
    pub(super) fn create(name: &str, url: &str, event_types: &[String]) -> Self {
        let (secret, created_at) = (new_secret(), now());
        let shown = json!({
            "id": hex_id("whe_"), "object": "webhook_endpoint", "name": name, "url": url, "event_types": event_types,
            "created_at": created_at, "updated_at": created_at, "signing_secret_hint": hint(&secret),
        });
        Self::new(shown, Secrets { current: secret, old: None })
    }

    /// Sets the fields that are given. Equal values do not change `updated_at`.
    pub(super) fn set_fields(&mut self, fields: [(&str, Option<Value>); 3]) {
        for (field, value) in fields {
            if let Some(value) = value.filter(|value| self.shown[field] != *value) {
                self.set(field, value);
                self.set("updated_at", now());
            }
        }
    }

    /// Replaces the secret. At most one old secret is kept; an older one ends now.
    pub(super) fn rotate(&mut self, keep_old: bool) {
        let old = std::mem::replace(&mut self.state.current, new_secret());
        self.state.old = keep_old.then(|| (old, now_ms() + OLD_SECRET_LIFETIME_MS));
        self.set("signing_secret_hint", hint(&self.state.current));
        self.set("updated_at", now());
    }

    pub(super) fn end_old_secret(&mut self) {
        self.state.old = None;
    }

    pub(super) fn wants(&self, event_type: Option<&str>) -> bool {
        let wanted = self.shown["event_types"].as_array();
        event_type.is_some_and(|given| wanted.into_iter().flatten().any(|wanted| wanted == given))
    }

    /// The endpoint as deliveries see it.
    pub(super) fn endpoint(&self) -> Endpoint {
        let scheme = Scheme::StandardWebhooks;
        let secrets = self.secrets().into_iter().filter_map(|secret| Secret::parse(scheme, secret)).collect();
        // The URL was checked when it was set.
        let url = self.shown["url"].as_str().and_then(|url| url.parse().ok()).unwrap_or_default();
        Endpoint { id: self.id.clone(), name: PROJECT.to_owned(), url, scheme, secrets }
    }

    /// The endpoint as OpenAI shows it once, when it has made the secret.
    pub(super) fn with_secret(&self) -> Value {
        let mut shown = self.shown.clone();
        shown["signing_secret"] = self.state.current.as_str().into();
        shown
    }

    /// The endpoint as the control API shows it.
    pub(super) fn with_all_secrets(&self) -> Value {
        let mut shown = self.shown.clone();
        shown["signing_secrets"] = self.secrets().into();
        shown
    }

    /// The secrets that sign, the new one first.
    fn secrets(&self) -> Vec<&str> {
        let old = self.state.old.as_ref().filter(|(_, until)| now_ms() < *until);
        std::iter::once(&self.state.current).chain(old.map(|(old, _)| old)).map(String::as_str).collect()
    }
}

fn new_secret() -> String {
    let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(SECRET_BYTES).collect();
    format!("whsec_{}", STANDARD.encode(bytes))
}

fn hint(secret: &str) -> String {
    format!("whsec_...{}", &secret[secret.len() - HINT..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_secret_signs_until_its_time_is_over() {
        let mut endpoint = ManagedEndpoint::create("Orders", "https://example.com", &[]);
        let first = endpoint.state.current.clone();
        endpoint.rotate(true);
        let second = endpoint.state.current.clone();
        assert_eq!(endpoint.secrets(), [&second, &first]);
        endpoint.state.old.as_mut().unwrap().1 -= OLD_SECRET_LIFETIME_MS - 60_000;
        assert_eq!(endpoint.secrets(), [&second, &first]);
        endpoint.state.old.as_mut().unwrap().1 -= 60_000;
        assert_eq!(endpoint.secrets(), [&second]);
    }
}
