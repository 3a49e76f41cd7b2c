//! Errors of sidebands.

use std::fmt;
use std::time::Duration;

use crate::error::{ErrorClass, OpenAiError};
use hooks_webhook::CallApi;

/// A sideband that could not be attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// OpenAI has no such session (404): it has ended, or was never set up although its accept was answered with 200.
    #[error("the session has ended or was never set up: {0}")]
    NoSession(#[source] OpenAiError),
    /// Another connection holds the session (409). The status is an assumption: OpenAI does not document whether a session
    /// takes a second connection.
    #[error("the session takes no second connection: {0}")]
    Occupied(#[source] OpenAiError),
    /// The key is wrong, or must not control this session (401, 403).
    #[error("the key must not control the session: {0}")]
    Unauthorized(#[source] OpenAiError),
    /// No answer came, or one that passes by waiting (408, 429, 5xx).
    #[error("the session could not be reached: {0}")]
    Network(#[source] OpenAiError),
    /// Any other refusal.
    #[error("the session refused the connection: {0}")]
    Refused(#[source] OpenAiError),
}

impl AttachError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// OpenAI's answer.
    #[must_use]
    pub const fn answer(&self) -> &OpenAiError {
        match self {
            Self::NoSession(error)
            | Self::Occupied(error)
            | Self::Unauthorized(error)
            | Self::Network(error)
            | Self::Refused(error) => error,
        }
    }
}

impl From<OpenAiError> for AttachError {
    fn from(error: OpenAiError) -> Self {
        match (error.status(), error.class()) {
            (Some(409), _) => Self::Occupied(error),
            (_, ErrorClass::NotFound) => Self::NoSession(error),
            (_, ErrorClass::Unauthorized) => Self::Unauthorized(error),
            (_, ErrorClass::Retry) => Self::Network(error),
            _ => Self::Refused(error),
        }
    }
}

/// A command that was not carried out, or a connection that is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SidebandError {
    /// The session's API has no such command.
    #[error("the {api} API has no command to {command}")]
    NoSuchCommand {
        /// The session's API.
        api: CallApi,
        /// The command, such as `mute the caller`.
        command: &'static str,
    },
    /// A key that no telephone has. Telephones have `0` to `9`, `A` to `D`, `*` and `#`.
    #[error("a telephone has no such key; it has 0-9, A-D, * and #")]
    NoSuchKey,
    /// The command is longer than OpenAI takes here. Nothing was sent.
    #[error("the command is longer than {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// OpenAI refused the command. The session goes on.
    #[error("OpenAI refused: {0}")]
    Refused(Refusal),
    /// Neither a confirmation nor an error came in time. The command may have taken effect or not.
    #[error("OpenAI did not confirm the command within {0:?}")]
    Unconfirmed(Duration),
    /// The connection is lost; [`Sideband::reconnect`](super::Sideband::reconnect) opens another. A command that was not
    /// confirmed may have taken effect or not.
    #[error("the sideband is disconnected: {0}")]
    Disconnected(Disconnect),
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The WebSocket close code, if the server closed the connection in form.
    pub code: Option<u16>,
    /// The server's reason, or the network's.
    pub reason: String,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "closed with {code} {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// An error or a notice of the session, made safe for logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Its code, or else its type, such as `invalid_value`.
    pub code: Option<String>,
    /// A sentence.
    pub message: Option<String>,
    /// The field that it is about.
    pub param: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_deref().unwrap_or("an error without a code"))?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        match &self.param {
            Some(param) => write!(f, " ({param})"),
            None => Ok(()),
        }
    }
}
