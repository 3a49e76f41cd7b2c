//! The two APIs that answer phone calls.

use std::fmt;

/// The API that a call rings at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallApi {
    /// The Realtime API; its call ids are like `rtc_...`.
    Realtime,
    /// The Live API; its calls are sessions with ids like `live_...`.
    Live,
}

impl CallApi {
    /// `realtime` or `live`, which is the `type` of its sessions too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Live => "live",
        }
    }
}

impl fmt::Display for CallApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
