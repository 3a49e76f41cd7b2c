//! Signing, for whoever plays OpenAI to an endpoint of their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Secret;
use crate::signature::{VERSION, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

/// The three headers of a delivery as [`Scheme::StandardWebhooks`](crate::Scheme::StandardWebhooks) has them, signed
/// over exactly these bytes.
#[must_use]
pub fn sign(secret: &Secret, webhook_id: &str, timestamp: u64, body: &[u8]) -> [(&'static str, String); 3] {
    let timestamp = timestamp.to_string();
    let tag = secret.key_for_signing().tag(&[webhook_id.as_bytes(), timestamp.as_bytes(), body]);
    let signature = format!("{VERSION}{}", STANDARD.encode(tag.into_bytes()));
    [(WEBHOOK_ID, webhook_id.to_owned()), (WEBHOOK_TIMESTAMP, timestamp), (WEBHOOK_SIGNATURE, signature)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_signed_as_openai_signs_it() {
        let secret = Secret::parse("whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=").unwrap();
        let body = br#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#;
        let [_, _, (name, signature)] = sign(&secret, "wh_685c059ae39c8190af8c71ed1022a24d", 1_750_861_210, body);
        assert_eq!((name, &*signature), ("webhook-signature", "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="));
    }
}
