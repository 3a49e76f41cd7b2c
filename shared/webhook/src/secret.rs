//! Signing secrets.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::mac::Key;

/// What every secret made by OpenAI begins with.
const PREFIX: &str = "whsec_";

/// A shorter key can be guessed; OpenAI's are 32 bytes long, Standard Webhooks asks for 24 at least.
const MIN_KEY_BYTES: usize = 16;

/// How an endpoint's deliveries are signed.
///
/// An endpoint has one scheme, set by whoever configures it, never chosen by what a request brings along.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// [Standard Webhooks](https://www.standardwebhooks.com), as OpenAI sends it: `webhook-id`, `webhook-timestamp`,
    /// `webhook-signature`.
    #[default]
    StandardWebhooks,
    /// Hex HMAC-SHA256 of `timestamp.body` under the secret's text, for relays and test tools that still sign so:
    /// `x-openai-signature` with `x-openai-timestamp`, or `x-signature-256: sha256=…` with `x-timestamp`.
    TimestampedHex,
}

impl Scheme {
    /// The scheme's name in configuration.
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

/// The text names none of the schemes.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is no signature scheme; the schemes are standard-webhooks (what OpenAI sends) and timestamped-hex")]
pub struct UnknownScheme(String);

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::StandardWebhooks, Self::TimestampedHex]
            .into_iter()
            .find(|scheme| scheme.as_str() == name)
            .ok_or_else(|| UnknownScheme(name.to_owned()))
    }
}

/// A signing secret, ready to check with: the HMAC has taken in the key already.
///
/// The value cannot be read back, and `Debug` shows none of it.
#[derive(Clone)]
pub struct Secret {
    key: Key,
    scheme: Scheme,
}

impl Secret {
    /// Reads a secret as OpenAI shows it: `whsec_` and the key in standard base64 with padding.
    ///
    /// Whitespace around it, which pasting tends to leave, is ignored.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(SecretError::MissingPrefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?;
        Self::from_key(&key, Scheme::StandardWebhooks)
    }

    /// Reads a secret for the given scheme; under [`Scheme::TimestampedHex`] its very text is the key.
    pub fn parse_for(scheme: Scheme, text: &str) -> Result<Self, SecretError> {
        match scheme {
            Scheme::StandardWebhooks => Self::parse(text),
            Scheme::TimestampedHex => Self::from_key(text.trim().as_bytes(), scheme),
        }
    }

    fn from_key(key: &[u8], scheme: Scheme) -> Result<Self, SecretError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(SecretError::TooShort);
        }
        Ok(Self { key: Key::new(key), scheme })
    }

    /// The `webhook-signature` of a delivery, for whoever makes one: by Standard Webhooks, whatever the secret's scheme.
    #[must_use]
    pub fn sign(&self, webhook_id: &str, timestamp: u64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let tag = self.key.tag(&[webhook_id.as_bytes(), timestamp.as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(tag.into_bytes()))
    }

    /// The `x-openai-signature` of a delivery under [`Scheme::TimestampedHex`].
    #[must_use]
    pub fn sign_timestamped(&self, timestamp: u64, body: &[u8]) -> String {
        let tag = self.key.tag(&[timestamp.to_string().as_bytes(), body]);
        tag.into_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// The scheme that this secret signs with.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key, for the scheme that it belongs to.
    pub(crate) fn key(&self, scheme: Scheme) -> Option<&Key> {
        (self.scheme == scheme).then_some(&self.key)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Why a text is no signing secret. A fault of the configuration; the value itself is never shown.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum SecretError {
    /// The text does not begin with `whsec_`.
    #[error("the signing secret does not begin with `whsec_`; copy it from OpenAI's webhook settings as it is")]
    MissingPrefix,
    /// What follows `whsec_` is not standard base64 with its padding.
    #[error("the signing secret is not valid base64 after `whsec_`; copy it from OpenAI's webhook settings as it is")]
    NotBase64,
    /// The key has fewer than 16 bytes.
    #[error("the signing secret is too short: a key of at least 16 bytes is needed")]
    TooShort,
}
