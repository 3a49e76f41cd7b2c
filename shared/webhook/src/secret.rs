//! Signing secrets.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::mac::Key;

/// Prefix of every secret made by OpenAI.
const PREFIX: &str = "whsec_";

/// Minimum key length in bytes. OpenAI's keys have 32 bytes, and Standard Webhooks requires 24.
const MIN_KEY_BYTES: usize = 16;

/// Signature scheme of an endpoint.
///
/// The configuration sets the scheme; a request cannot choose it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// [Standard Webhooks](https://www.standardwebhooks.com), as OpenAI sends it: `webhook-id`, `webhook-timestamp`,
    /// `webhook-signature`.
    #[default]
    StandardWebhooks,
    /// Legacy scheme of some relays and test tools: hex HMAC-SHA256 of `timestamp.body` under the secret's text, in
    /// `x-openai-signature` with `x-openai-timestamp`, or `x-signature-256: sha256=…` with `x-timestamp`.
    TimestampedHex,
}

impl Scheme {
    /// Name of the scheme in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::TimestampedHex => "timestamped-hex",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The text is not the name of a scheme.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is not a signature scheme; the schemes are standard-webhooks (sent by OpenAI) and timestamped-hex")]
pub struct SchemeError(String);

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::StandardWebhooks, Self::TimestampedHex]
            .into_iter()
            .find(|scheme| scheme.as_str() == name)
            .ok_or_else(|| SchemeError(name.to_owned()))
    }
}

/// Signing secret with its key schedule already computed.
///
/// The value cannot be read back, and `Debug` does not show it.
#[derive(Clone)]
pub struct Secret {
    key: Key,
    scheme: Scheme,
}

impl Secret {
    /// Parses a secret as OpenAI shows it: `whsec_` and the key in standard base64 with padding. Surrounding whitespace
    /// is ignored, and a byte order mark before it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = trimmed(text).strip_prefix(PREFIX).ok_or(SecretError::MissingPrefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?;
        Self::from_key(&key, Scheme::StandardWebhooks)
    }

    /// Parses a secret of the given scheme. Under [`Scheme::TimestampedHex`] the text itself is the key.
    pub fn parse_for(scheme: Scheme, text: &str) -> Result<Self, SecretError> {
        match scheme {
            Scheme::StandardWebhooks => Self::parse(text),
            Scheme::TimestampedHex => Self::from_key(trimmed(text).as_bytes(), scheme),
        }
    }

    fn from_key(key: &[u8], scheme: Scheme) -> Result<Self, SecretError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(SecretError::TooShort);
        }
        Ok(Self { key: Key::new(key), scheme })
    }

    /// The `webhook-signature` of a delivery by Standard Webhooks, regardless of the secret's scheme.
    #[must_use]
    pub fn sign(&self, webhook_id: &str, timestamp: u64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let tag = self.key.tag([webhook_id.as_bytes(), timestamp.as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(tag.into_bytes()))
    }

    /// Signs a delivery under [`Scheme::TimestampedHex`]: the value of `x-openai-signature`.
    #[must_use]
    pub fn sign_timestamped(&self, timestamp: u64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let tag = self.key.tag([timestamp.as_bytes(), body]);
        tag.into_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// Scheme of the secret.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key, if the secret belongs to `scheme`.
    pub(crate) fn key(&self, scheme: Scheme) -> Option<&Key> {
        (self.scheme == scheme).then_some(&self.key)
    }
}

/// The text without the byte order mark that an editor wrote before it, and without whitespace around it.
fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Reason why a text is not a signing secret. A configuration error; the value itself is never shown.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum SecretError {
    /// The text does not begin with `whsec_`.
    #[error("the signing secret does not begin with `whsec_`; copy it unchanged from OpenAI's webhook settings")]
    MissingPrefix,
    /// The text after `whsec_` is not standard base64 with padding.
    #[error("the signing secret is not valid base64 after `whsec_`; copy it unchanged from OpenAI's webhook settings")]
    NotBase64,
    /// The key has fewer than 16 bytes.
    #[error("the signing secret is too short: a key of at least 16 bytes is needed")]
    TooShort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_before_a_secret_is_no_part_of_it() {
        let text = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        for scheme in [Scheme::StandardWebhooks, Scheme::TimestampedHex] {
            let sign = |text: &str| {
                let secret = Secret::parse_for(scheme, text).unwrap();
                (secret.sign("wh_1", 1, b"{}"), secret.sign_timestamped(1, b"{}"))
            };
            assert_eq!(sign(&format!("\u{feff}{text}\r\n")), sign(text), "{scheme:?}");
        }
    }
}
