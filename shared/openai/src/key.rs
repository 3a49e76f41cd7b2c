//! The API key.

use std::fmt;
use std::str::FromStr;

use reqwest::header::HeaderValue;

/// An OpenAI API key, stored as the `Authorization` header's value.
///
/// It is never printed: `Debug` shows a placeholder, there is no `Display`, and the header is marked as sensitive, so that
/// no HTTP layer logs it.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

/// A text that cannot be an API key. The error does not contain the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The text is empty or white space.
    #[error("the API key is empty")]
    Empty,
    /// A key has visible ASCII characters only. Others are usually errors of copy and paste.
    #[error("the API key contains a space, a line break or a character outside ASCII")]
    ForbiddenCharacter,
}

impl ApiKey {
    /// A placeholder for a key that is not read yet.
    pub(crate) const fn none() -> Self {
        Self(HeaderValue::from_static("Bearer none"))
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    /// Parses a key without the white space around it, which pasted secrets often have.
    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let key = text.trim();
        if key.is_empty() {
            return Err(ApiKeyError::Empty);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyError::ForbiddenCharacter);
        }
        let mut header = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ApiKeyError::ForbiddenCharacter)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_trimmed_and_sent_as_a_sensitive_bearer_token() {
        let header = " sk-local\n".parse::<ApiKey>().unwrap().authorization();
        assert_eq!(header, "Bearer sk-local");
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_key_is_not_printed() {
        let key: ApiKey = "sk-local".parse().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
        assert!(!format!("{:?}", key.authorization()).contains("sk-local"));
    }

    #[test]
    fn a_text_that_cannot_be_a_key_is_refused() {
        assert_eq!(" \n".parse::<ApiKey>().unwrap_err(), ApiKeyError::Empty);
        for text in ["sk local", "sk-\u{e4}", "sk-a\nb", "sk-\u{7f}"] {
            assert_eq!(text.parse::<ApiKey>().unwrap_err(), ApiKeyError::ForbiddenCharacter, "{text:?}");
        }
    }
}
