//! The SIP headers of a phone call.

use std::borrow::Cow;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Maximum number of SIP headers kept of a call. The caller controls their number; an ordinary INVITE has about twenty.
pub const MAX_SIP_HEADERS: usize = 64;

/// Maximum length of a kept SIP header name in bytes.
pub const MAX_SIP_NAME: usize = 128;

/// Maximum length of a kept SIP header value in bytes. A longer one is left out, because a truncated value would have
/// another meaning.
pub const MAX_SIP_VALUE: usize = 4096;

/// Header of a SIP INVITE. The caller controls name and value: do not trust them.
#[derive(Clone, Eq, PartialEq)]
pub struct SipHeader {
    /// The name in the caller's spelling.
    pub name: String,
    /// The value.
    pub value: String,
}

/// SIP INVITE of a phone call.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SipInvite {
    /// The headers in order, repeated ones included; at most [`MAX_SIP_HEADERS`], none longer than [`MAX_SIP_VALUE`].
    pub headers: Vec<SipHeader>,
    /// Protection of the call's media: `rtp`, `srtp`, or a newer value. Absent when unknown.
    pub media_security: Option<String>,
}

impl SipInvite {
    /// First value of a header; the name is case-insensitive.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

/// `sip_headers`, read one by one: entries of another shape are skipped, and excess entries are never held in memory.
#[derive(Default)]
pub(crate) struct SipHeaders(pub(crate) Vec<SipHeader>);

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

impl SipHeaders {
    fn take(&mut self, line: Line<'_>) {
        let Line { name, value } = line;
        if self.0.len() < MAX_SIP_HEADERS && name.len() <= MAX_SIP_NAME && value.len() <= MAX_SIP_VALUE {
            self.0.push(SipHeader { name: name.into_owned(), value: value.into_owned() });
        }
    }
}

impl<'de> Deserialize<'de> for SipHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lines;

        impl<'de> Visitor<'de> for Lines {
            type Value = SipHeaders;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of SIP headers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<SipHeaders, A::Error> {
                let mut headers = SipHeaders::default();
                while let Some(entry) = entries.next_element::<&RawValue>()? {
                    if let Ok(line) = serde_json::from_str(entry.get()) {
                        headers.take(line);
                    }
                }
                Ok(headers)
            }
        }

        deserializer.deserialize_seq(Lines)
    }
}
