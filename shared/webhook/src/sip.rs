//! The SIP headers of a phone call.

use std::borrow::Cow;

use crate::Json;

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
    /// Reads it. Headers of another shape are skipped, and those in excess are never held in memory.
    pub(crate) fn read(headers: Option<Json<'_>>, media_security: Option<Json<'_>>) -> Self {
        let header = |line: Json<'_>| {
            let [name, value] = line.pick(["name", "value"]).map(|part| part.and_then(Json::string));
            let name = name.filter(|name| name.len() <= MAX_SIP_NAME)?;
            let value = value.filter(|value| value.len() <= MAX_SIP_VALUE)?;
            Some(SipHeader { name: name.into_owned(), value: value.into_owned() })
        };
        Self {
            headers: headers.into_iter().flat_map(Json::items).filter_map(header).take(MAX_SIP_HEADERS).collect(),
            media_security: media_security.and_then(Json::text).map(Cow::into_owned),
        }
    }

    /// First value of a header; the name is case-insensitive.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}
