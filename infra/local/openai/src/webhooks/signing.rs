//! The two signature schemes: Standard Webhooks, which OpenAI uses, and the older hex signature of some relays.
//!
//! Independent of the project's own verifier on purpose, so that each checks the other.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The key of forged deliveries, which no endpoint has.
const FORGED: &[u8] = b"not a secret of any endpoint";

/// How an endpoint's deliveries are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scheme {
    /// Base64 HMAC-SHA256 of `id.timestamp.body`; the key is the base64 behind `whsec_`. One signature per secret.
    #[default]
    StandardWebhooks,
    /// Hex HMAC-SHA256 of `timestamp.body`; the key is the secret's text. One signature.
    TimestampedHex,
}

/// The key of an endpoint's signing secret. It has no `Debug`, so that it is never printed.
#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn parse(scheme: Scheme, text: &str) -> Option<Self> {
        let key = match scheme {
            Scheme::StandardWebhooks => STANDARD.decode(text.strip_prefix("whsec_")?).ok()?,
            Scheme::TimestampedHex => text.trim().as_bytes().to_vec(),
        };
        (!key.is_empty()).then_some(Self(key))
    }
}

impl Scheme {
    /// The headers of a delivery that is signed with the secrets, or with another key if it is `forged`.
    pub(super) fn headers(
        self,
        secrets: &[Secret],
        forged: bool,
        webhook_id: &str,
        timestamp: &str,
        body: &str,
    ) -> Vec<(&'static str, String)> {
        let keys = secrets.iter().map(|secret| secret.0.as_slice());
        let keys: Vec<&[u8]> = if forged { vec![FORGED] } else { keys.collect() };
        match self {
            Self::StandardWebhooks => {
                let sign = |key: &&[u8]| format!("v1,{}", STANDARD.encode(hmac(key, &[webhook_id, timestamp, body])));
                let signatures: Vec<String> = keys.iter().map(sign).collect();
                vec![
                    ("webhook-id", webhook_id.to_owned()),
                    ("webhook-timestamp", timestamp.to_owned()),
                    ("webhook-signature", signatures.join(" ")),
                ]
            }
            Self::TimestampedHex => {
                let mut signature = String::new();
                for byte in keys.iter().take(1).flat_map(|key| hmac(key, &[timestamp, body])) {
                    let _ = write!(signature, "{byte:02x}");
                }
                vec![("x-openai-timestamp", timestamp.to_owned()), ("x-openai-signature", signature)]
            }
        }
    }
}

/// HMAC-SHA256 of the parts, joined by dots.
fn hmac(key: &[u8], parts: &[&str]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(parts.join(".").as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";
    const OTHER: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const BODY: &str = r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#;

    fn signature(secrets: &[&str], forged: bool) -> String {
        let scheme = Scheme::StandardWebhooks;
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::parse(scheme, text).unwrap()).collect();
        let headers = scheme.headers(&secrets, forged, "wh_685c059ae39c8190af8c71ed1022a24d", "1750861210", BODY);
        headers.into_iter().find(|(name, _)| *name == "webhook-signature").unwrap().1
    }

    #[test]
    fn the_test_delivery_of_openai_s_own_sdk_gets_its_published_signature() {
        assert_eq!(signature(&[SECRET], false), "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=");
    }

    #[test]
    fn two_secrets_sign_twice_in_one_header() {
        let alone = [signature(&[OTHER], false), signature(&[SECRET], false)];
        assert_eq!(signature(&[OTHER, SECRET], false), alone.join(" "));
    }

    #[test]
    fn a_forged_signature_has_the_form_and_not_the_key() {
        let (forged, genuine) = (signature(&[SECRET], true), signature(&[SECRET], false));
        assert_eq!(forged.len(), genuine.len());
        assert_ne!(forged, genuine);
    }

    #[test]
    fn a_hex_signature_is_that_of_the_conformance_corpus() {
        let body = r#"{"id": "evt_6919e1c3a3f48190a53f8b1d7c6e2f04", "object": "event", "created_at": 1795219198, "type": "batch.completed", "data": {"id": "batch_6919d0a4"}}"#;
        let secret = Secret::parse(Scheme::TimestampedHex, "a shared text of some length").unwrap();
        let headers = Scheme::TimestampedHex.headers(&[secret], false, "wh_unsigned", "1795219200", body);
        let signature = "a57cf1d74cadf19f66f7c64a87420b2f5950fee33aa9fa04f96861410ed0ee37";
        let expected = [("x-openai-timestamp", "1795219200"), ("x-openai-signature", signature)];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_secret_without_its_prefix_is_none() {
        for text in [&SECRET["whsec_".len()..], "whsec_", "whsec_no base64"] {
            assert!(Secret::parse(Scheme::StandardWebhooks, text).is_none(), "{text}");
        }
        assert!(Secret::parse(Scheme::TimestampedHex, " ").is_none());
    }
}
