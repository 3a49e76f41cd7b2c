//! The SIP headers of a phone call.

use std::borrow::Cow;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// How many of a call's SIP headers are kept. The caller writes them, so there may be any number; an ordinary INVITE has
/// about twenty.
pub const MAX_SIP_HEADERS: usize = 64;

/// The longest SIP header name that is kept, in bytes.
pub const MAX_SIP_NAME: usize = 128;

/// The longest SIP header value that is kept, in bytes. A longer one is left out: cut off, it would say something else.
pub const MAX_SIP_VALUE: usize = 4096;

/// One line of a SIP INVITE. Everything in it was written by the caller: nothing of it is to be trusted.
#[derive(Clone, Eq, PartialEq)]
pub struct SipHeader {
    /// The name, in whatever case the caller wrote it.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The INVITE that a phone call began with.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SipInvite {
    /// The headers in their order, repeated ones included; at most [`MAX_SIP_HEADERS`], none longer than
    /// [`MAX_SIP_VALUE`].
    pub headers: Vec<SipHeader>,
    /// How the call's media are protected: `rtp`, `srtp`, or something newer. Absent when unknown.
    pub media_security: Option<String>,
}

impl SipInvite {
    /// The first value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

/// `sip_headers`, read one by one: entries of another shape are passed over, and what exceeds the bounds is never held.
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
