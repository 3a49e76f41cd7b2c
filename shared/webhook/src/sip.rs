//! The SIP headers of a phone call.

use std::borrow::Cow;

use crate::Json;

/// Maximum number of SIP headers kept of a call, apart from `From` and `To`. The caller controls their number; an ordinary
/// INVITE has about twenty.
pub const MAX_SIP_HEADERS: usize = 64;

/// Maximum number of `From` headers kept of a call, and of `To` headers. An ordinary INVITE has one of each.
pub const MAX_SIP_ADDRESSES: usize = 8;

/// Maximum length of a kept SIP header name in bytes.
pub const MAX_SIP_NAME: usize = 128;

/// Maximum length of a kept SIP header value in bytes, apart from `From` and `To`, which only the body's size bounds. A
/// longer one is left out, because a truncated value would have another meaning.
pub const MAX_SIP_VALUE: usize = 4096;

/// Compact forms of header names: RFC 3261, and its extensions in IANA's registry.
const COMPACT: [(&str, &str); 20] = [
    ("a", "Accept-Contact"),
    ("b", "Referred-By"),
    ("c", "Content-Type"),
    ("d", "Request-Disposition"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("j", "Reject-Contact"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("n", "Identity-Info"),
    ("o", "Event"),
    ("r", "Refer-To"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
    ("y", "Identity"),
];

/// Header of a SIP INVITE. The caller controls name and value: do not trust them.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct SipHeader {
    /// The name in the caller's spelling, without white space around it.
    pub name: String,
    /// The value; `None` when it is too long or not a string. U+FFFD stands for bytes that are not UTF-8.
    pub value: Option<String>,
}

impl SipHeader {
    /// Whether this is the header `name`, in any case and in its compact form.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        full_name(&self.name).eq_ignore_ascii_case(full_name(name))
    }
}

/// SIP INVITE of a phone call.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SipInvite {
    /// The headers in order, repeated ones included; at most [`MAX_SIP_HEADERS`] besides `From` and `To`.
    pub headers: Vec<SipHeader>,
    /// Protection of the call's media: `rtp`, `srtp`, or a newer value. Absent when unknown.
    pub media_security: Option<String>,
    /// Whether headers other than `From` and `To` were left out.
    headers_cut: bool,
    /// Whether one of `From` or `To` was left out.
    addresses_cut: bool,
}

impl SipInvite {
    /// Reads it. Headers in excess are never held in memory.
    pub(crate) fn read(headers: Option<Json<'_>>, media_security: Option<Json<'_>>) -> Self {
        let mut invite =
            Self { media_security: media_security.and_then(Json::text).map(Cow::into_owned), ..Self::default() };
        for header in headers.into_iter().flat_map(Json::items) {
            let [name, value] = header.pick(["name", "value"]).map(|part| part.and_then(Json::string));
            match name {
                Some(name) => invite.keep(&name, value),
                None => invite.headers_cut = true,
            }
        }
        invite
    }

    /// An invite with these headers: names and values.
    #[must_use]
    pub fn of<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut invite = Self::default();
        for (name, value) in headers {
            invite.keep(name, Some(Cow::Borrowed(value)));
        }
        invite
    }

    fn keep(&mut self, name: &str, value: Option<Cow<'_, str>>) {
        let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        if name.len() > MAX_SIP_NAME {
            self.headers_cut = true;
            return;
        }
        let mut header = SipHeader { name: name.to_owned(), value: None };
        if let Some(address) = ["From", "To"].into_iter().find(|address| header.is(address)) {
            if self.values(address).count() == MAX_SIP_ADDRESSES {
                self.addresses_cut = true;
                return;
            }
            header.value = value.map(Cow::into_owned);
        } else {
            if self.headers.iter().filter(|kept| !is_address(kept)).count() == MAX_SIP_HEADERS {
                self.headers_cut = true;
                return;
            }
            header.value = value.filter(|value| value.len() <= MAX_SIP_VALUE).map(Cow::into_owned);
        }
        self.headers.push(header);
    }

    /// The values of a header in order, in any spelling of its name; `None` for one that could not be kept.
    pub fn values(&self, name: &str) -> impl Iterator<Item = Option<&str>> {
        self.headers.iter().filter(move |header| header.is(name)).map(|header| header.value.as_deref())
    }

    /// Whether [`values`](Self::values) are all that the call has of this header.
    #[must_use]
    pub fn is_complete(&self, name: &str) -> bool {
        if ["from", "to"].contains(&full_name(name).to_ascii_lowercase().as_str()) {
            return !self.addresses_cut;
        }
        !self.headers_cut
    }

    /// First value of a header, in any spelling of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).find_map(|value| value)
    }
}

fn is_address(header: &SipHeader) -> bool {
    header.is("From") || header.is("To")
}

/// The full name of a header in compact form, or else the name.
fn full_name(name: &str) -> &str {
    let full = COMPACT.iter().find(|(compact, _)| name.eq_ignore_ascii_case(compact));
    full.map_or(name, |(_, full)| full)
}
