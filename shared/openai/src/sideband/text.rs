//! Words of a call.

use std::fmt;
use std::ops::Deref;

/// What was said, pressed or computed in a call. Its `Debug` shows the length only: it is somebody's data.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CallText(String);

impl CallText {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for CallText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for CallText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for CallText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for CallText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallText({} bytes)", self.0.len())
    }
}
