//! The signature scheme, Standard Webhooks as OpenAI uses it: HMAC-SHA256 over the id, the timestamp and the raw body,
//! joined by dots; the key is the base64 behind `whsec_`.
//!
//! Written apart from the project's own verifier on purpose: the two agree because both are right.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Key of forged deliveries: anything but an endpoint's.
const FORGER: &[u8] = b"not a secret of any endpoint";

/// An endpoint's signing secret. Has no `Debug`, so that none ever shows.
#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

/// How a delivery is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    /// Once with each of the endpoint's secrets.
    Genuine,
    /// With a key that isn't the endpoint's.
    Forged,
}

impl Secret {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (!key.is_empty()).then_some(Self(key))
    }
}

impl Signature {
    /// The value of `webhook-signature`.
    pub(super) fn header(self, secrets: &[Secret], webhook_id: &str, timestamp: &str, body: &str) -> String {
        let sign = |key: &[u8]| sign(key, webhook_id, timestamp, body);
        match self {
            Self::Genuine => secrets.iter().map(|secret| sign(&secret.0)).collect::<Vec<_>>().join(" "),
            Self::Forged => sign(FORGER),
        }
    }
}

fn sign(key: &[u8], webhook_id: &str, timestamp: &str, body: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in [webhook_id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";
    const BODY: &str = r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#;

    fn header(signature: Signature, secrets: &[&str]) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::parse(text).unwrap()).collect();
        signature.header(&secrets, "wh_685c059ae39c8190af8c71ed1022a24d", "1750861210", BODY)
    }

    #[test]
    fn the_test_delivery_of_openai_s_own_sdk_gets_its_published_signature() {
        assert_eq!(header(Signature::Genuine, &[SECRET]), "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=");
    }

    #[test]
    fn two_secrets_sign_twice_in_one_header() {
        let other = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let both = header(Signature::Genuine, &[other, SECRET]);
        let alone = [header(Signature::Genuine, &[other]), header(Signature::Genuine, &[SECRET])];
        assert_eq!(both, alone.join(" "));
    }

    #[test]
    fn a_forged_signature_has_the_form_and_not_the_key() {
        let forged = header(Signature::Forged, &[SECRET]);
        assert_eq!(forged.len(), header(Signature::Genuine, &[SECRET]).len());
        assert_ne!(forged, header(Signature::Genuine, &[SECRET]));
    }

    #[test]
    fn a_secret_without_its_prefix_is_none() {
        assert!(Secret::parse(&SECRET["whsec_".len()..]).is_none());
        assert!(Secret::parse("whsec_").is_none());
        assert!(Secret::parse("whsec_no base64").is_none());
    }
}
