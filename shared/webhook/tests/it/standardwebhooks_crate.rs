//! The corpus against the `standardwebhooks` crate. Where the two differ is listed, each with its reason, in
//! `conformance/oracles/standardwebhooks.json`: a difference that is not listed fails, and so does a listed one that is
//! gone.
//!
//! The crate reads the system's clock. So every vector is moved in time, from its own clock to the system's: the digits
//! of its timestamp are shifted, and the signatures that were right are made anew. Our own verdict must stay the same.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooks_webhook::{Scheme, Secret, verify};
use http::HeaderMap;
use standardwebhooks::Webhook;

use crate::corpus::{Vector, vectors};
use crate::model::sign;

/// Differences by the vector's name: what the crate says, and why.
type Differences = BTreeMap<String, (String, String)>;

fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// The vector as it would be at `now`.
fn moved(vector: &Vector, now: u64) -> Vector {
    let mut moved = vector.clone();
    moved.now = now;
    let value = |name: &str| {
        let lines = vector.headers.iter().filter(|(line, _)| line.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.clone()).next().unwrap_or_default()
    };
    let (id, timestamp) = (value("webhook-id"), value("webhook-timestamp"));
    let shifted = shift(&timestamp, vector.now, now);
    let keys: Vec<Vec<u8>> = vector.secrets.iter().filter_map(|secret| key(secret)).collect();
    for (name, value) in &mut moved.headers {
        if name.eq_ignore_ascii_case("webhook-timestamp") {
            *value = shift(value, vector.now, now);
        } else if name.eq_ignore_ascii_case("webhook-signature") {
            for key in &keys {
                let body = vector.body();
                *value = value.replace(&sign(key, &id, &timestamp, &body), &sign(key, &id, &shifted, &body));
            }
        }
    }
    moved
}

/// Shifts a timestamp near the vector's clock, and keeps its leading zeros. Others, such as the greatest number there
/// is, mean the same at any time.
fn shift(timestamp: &str, from: u64, to: u64) -> String {
    let significant = timestamp.trim_start_matches('0');
    let zeros = if significant.is_empty() { 0 } else { timestamp.len() - significant.len() };
    match timestamp.parse::<u64>() {
        Ok(seconds) if seconds.abs_diff(from) <= 100_000_000 && !timestamp.starts_with('+') => {
            format!("{}{}", &timestamp[..zeros], seconds + to - from)
        }
        _ => timestamp.to_owned(),
    }
}

/// The key of a secret, or of what the crate takes for one.
fn key(secret: &str) -> Option<Vec<u8>> {
    let secret = secret.trim();
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()
}

fn ours(vector: &Vector, headers: &HeaderMap, body: &[u8]) -> &'static str {
    let secrets: Result<Vec<_>, _> = vector.secrets.iter().map(|text| Secret::parse(text)).collect();
    let Ok(secrets) = secrets else { return "refused" };
    if verify(Scheme::StandardWebhooks, &secrets, headers, body, vector.now).is_ok() { "accepted" } else { "refused" }
}

fn theirs(vector: &Vector, headers: &HeaderMap, body: &[u8]) -> &'static str {
    let accepts = |secret: &String| {
        catch_unwind(|| Webhook::new(secret).is_ok_and(|webhook| webhook.verify(body, headers).is_ok()))
    };
    match vector.secrets.iter().map(accepts).collect::<Result<Vec<_>, _>>() {
        Ok(verdicts) if verdicts.contains(&true) => "accepted",
        Ok(_) => "refused",
        Err(_) => "panics",
    }
}

#[test]
fn the_standardwebhooks_crate_differs_where_it_is_known_to() {
    let known: Differences =
        serde_json::from_str(include_str!("../../conformance/oracles/standardwebhooks.json")).unwrap();
    let mut found = BTreeMap::new();
    for vector in vectors().iter().filter(|vector| vector.scheme() == Scheme::StandardWebhooks) {
        // Anew when a second ends in between: the crate would have looked at another clock than we.
        let (moved, theirs) = loop {
            let moved = moved(vector, seconds());
            let theirs = theirs(&moved, &moved.header_map(), &moved.body());
            if seconds() == moved.now {
                break (moved, theirs);
            }
        };
        let ours = ours(&moved, &moved.header_map(), &moved.body());
        let expected = match vector.verdict.as_str() {
            "accepted" | "malformed_body" => "accepted",
            _ => "refused",
        };
        assert_eq!(ours, expected, "{}: moving it in time changed our own verdict", vector.name);
        if ours != theirs {
            found.insert(vector.name.clone(), theirs.to_owned());
        }
    }
    let known: BTreeMap<_, _> = known.into_iter().map(|(name, (theirs, _))| (name, theirs)).collect();
    assert_eq!(found, known);
}
