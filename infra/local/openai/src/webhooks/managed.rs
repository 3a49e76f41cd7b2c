//! Endpoints that are managed through `/v1`, and their secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::endpoint::{Endpoint, Scope};
use super::signing::Secret;
use crate::ids::{hex_id, now, now_ms};
use crate::shelf::Identified;

const SECRET_BYTES: usize = 32;

/// How long an old secret that is kept signs beside the new one.
const OLD_SECRET_LIFE_MS: i64 = 24 * 3600 * 1000;

/// How much of a secret's end its hint shows.
const HINT: usize = 4;

/// A managed endpoint. Serializes as OpenAI shows it.
#[derive(Clone, Serialize)]
pub(super) struct Managed {
    id: String,
    object: &'static str,
    name: String,
    url: String,
    event_types: Vec<String>,
    created_at: i64,
    updated_at: i64,
    signing_secret_hint: String,
    #[serde(skip)]
    secret: String,
    #[serde(skip)]
    old: Option<Old>,
}

/// A secret that was replaced, and still signs for a while.
#[derive(Clone)]
struct Old {
    secret: String,
    until_ms: i64,
}

/// What a request changes of an endpoint; to create one takes all three.
#[derive(Default)]
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) event_types: Option<Vec<String>>,
}

impl Identified for Managed {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Managed {
    pub(super) fn new(name: String, url: String, event_types: Vec<String>) -> Self {
        let (secret, created_at) = (new_secret(), now());
        Self {
            id: hex_id("whe_"),
            object: "webhook_endpoint",
            name,
            url,
            event_types,
            created_at,
            updated_at: created_at,
            signing_secret_hint: hint(&secret),
            secret,
            old: None,
        }
    }

    /// What changes nothing is no update.
    pub(super) fn change(&mut self, change: Change) {
        let Change { name, url, event_types } = change;
        let changes =
            [replace(&mut self.name, name), replace(&mut self.url, url), replace(&mut self.event_types, event_types)];
        if changes.contains(&true) {
            self.updated_at = now();
        }
    }

    /// Only one old secret is kept: the one before it ends now.
    pub(super) fn rotate(&mut self, keep_old: bool) {
        let old = std::mem::replace(&mut self.secret, new_secret());
        self.old = keep_old.then(|| Old { secret: old, until_ms: now_ms() + OLD_SECRET_LIFE_MS });
        self.signing_secret_hint = hint(&self.secret);
        self.updated_at = now();
    }

    pub(super) fn end_old_secret(&mut self) {
        self.old = None;
    }

    pub(super) fn wants(&self, event_type: Option<&str>) -> bool {
        event_type.is_some_and(|given| self.event_types.iter().any(|wanted| wanted == given))
    }

    /// As a delivery sees it.
    pub(super) fn endpoint(&self) -> Endpoint {
        let secrets = self.secrets().into_iter().filter_map(Secret::parse).collect();
        // It was a URL when it was taken.
        let url = self.url.parse().unwrap_or_default();
        Endpoint { id: self.id.clone(), scope: Scope::Project, url, secrets }
    }

    /// As OpenAI shows it when it has made a secret, and never again.
    pub(super) fn with_secret(&self) -> Value {
        let mut shown = json!(self);
        shown["signing_secret"] = self.secret.as_str().into();
        shown
    }

    /// As the control API shows it.
    pub(super) fn with_all_secrets(&self) -> Value {
        let mut shown = json!(self);
        shown["signing_secrets"] = self.secrets().into();
        shown
    }

    /// Those that sign, the new one first.
    fn secrets(&self) -> Vec<&str> {
        let old = self.old.as_ref().filter(|old| now_ms() < old.until_ms);
        std::iter::once(&self.secret).chain(old.map(|old| &old.secret)).map(String::as_str).collect()
    }
}

fn replace<T: PartialEq>(field: &mut T, given: Option<T>) -> bool {
    match given {
        Some(given) if given != *field => {
            *field = given;
            true
        }
        _ => false,
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
        let mut endpoint = Managed::new("Orders".to_owned(), "https://example.com".to_owned(), Vec::new());
        let first = endpoint.secret.clone();
        endpoint.rotate(true);
        let second = endpoint.secret.clone();
        assert_eq!(endpoint.secrets(), [&second, &first]);
        endpoint.old.as_mut().unwrap().until_ms -= OLD_SECRET_LIFE_MS - 60_000;
        assert_eq!(endpoint.secrets(), [&second, &first]);
        endpoint.old.as_mut().unwrap().until_ms -= 60_000;
        assert_eq!(endpoint.secrets(), [&second]);
    }
}
