//! An incoming call, and the caller and the called number in its SIP headers. The headers are written by the caller.

use std::borrow::Cow;

use hooks_webhook::CallApi;
use hooks_webhook::{Event, EventData, SipInvite};

/// The numbers of first and last characters that a masked number shows.
const SHOWN: (usize, usize) = (3, 2);

/// Minimum length of a number of which any character is shown.
const MIN_SHOWN_LENGTH: usize = 10;

/// Minimum length of a number that is masked in a text. A shorter one is an extension, and can be a part of any word.
const MIN_MASKED_LENGTH: usize = 5;

/// Maximum number of asterisks in a masked number, which hides the length of a longer one.
const MAX_ASTERISKS: usize = 10;

/// A call that waits for an answer.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The API that it waits for.
    pub api: CallApi,
    /// The id of the call or session at that API.
    pub id: &'a str,
    /// Its SIP headers.
    pub invite: &'a SipInvite,
}

impl<'a> Call<'a> {
    /// The call that the event announces, if any.
    #[must_use]
    pub fn of(event: &'a Event) -> Option<Self> {
        match &event.data {
            EventData::RealtimeCall { call_id, invite, .. } => {
                Some(Self { api: CallApi::Realtime, id: call_id, invite })
            }
            EventData::LiveTransport { session_id, invite, .. } if event.event_type.ends_with(".incoming") => {
                Some(Self { api: CallApi::Live, id: session_id, invite })
            }
            _ => None,
        }
    }

    /// The first value of a header. `From` and `To` can have their short forms (RFC 3261, section 7.3.3).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let short = match name {
            _ if name.eq_ignore_ascii_case("from") => "f",
            _ if name.eq_ignore_ascii_case("to") => "t",
            _ => return self.invite.header(name),
        };
        self.invite.header(name).or_else(|| self.invite.header(short))
    }

    /// The number in `From` or `To`, masked.
    #[must_use]
    pub fn masked(&self, name: &str) -> Option<String> {
        Some(mask(&user(self.header(name)?)?))
    }

    /// The text with the caller's and the called number masked, as they are in the header and without its escapes.
    #[must_use]
    pub fn mask_numbers(&self, text: &str) -> String {
        let names = ["From", "To"].into_iter().filter_map(|name| escaped_user(self.header(name)?));
        names
            .flat_map(|name| [Cow::Borrowed(name), unescaped(name)])
            .map(|name| name.trim_start_matches('+').to_owned())
            .filter(|name| name.len() >= MIN_MASKED_LENGTH)
            .fold(text.to_owned(), |text, name| text.replace(&name, &mask(&name)))
    }
}

/// The user part of the URI in a `From` or `To` header, usually a phone number: `+4930123` in
/// `"Anna" <sip:+4930123@example.com;user=phone>;tag=1`. An escaped character is the character itself (RFC 3261, section
/// 19.1.2): `%2B4930123` is the same number.
pub(crate) fn user(value: &str) -> Option<Cow<'_, str>> {
    escaped_user(value).map(unescaped)
}

fn escaped_user(value: &str) -> Option<&str> {
    let value = after_display_name(value.trim())?;
    let uri = match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => value,
    };
    let (scheme, rest) = uri.trim().split_once(':')?;
    let user = match scheme.to_ascii_lowercase().as_str() {
        "sip" | "sips" => rest.split_once('@')?.0,
        "tel" => rest,
        _ => return None,
    };
    let user = user.split([';', ':', '?']).next().unwrap_or_default();
    (!user.is_empty()).then_some(user)
}

/// The text without escapes. Whatever is not an escape of two hexadecimal digits stays as it is; bytes that are not UTF-8
/// become U+FFFD.
fn unescaped(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    if bytes.len() == text.len() {
        return Cow::Borrowed(text);
    }
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            bytes.extend(&part.as_bytes()[2..]);
        } else {
            bytes.push(b'%');
            bytes.extend(part.as_bytes());
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rest after a quoted display name, which can contain anything, even a URI in angle brackets.
fn after_display_name(value: &str) -> Option<&str> {
    let Some(quoted) = value.strip_prefix('"') else { return Some(value) };
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return quoted.get(at + 1..),
            _ => {}
        }
    }
    None
}

fn mask(name: &str) -> String {
    let characters: Vec<char> = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    let length = characters.len();
    if length < MIN_SHOWN_LENGTH {
        return "*".repeat(length);
    }
    let (first, last) = SHOWN;
    let asterisks = "*".repeat((length - first - last).min(MAX_ASTERISKS));
    let shown = |range: &[char]| range.iter().collect::<String>();
    format!("{}{asterisks}{}", shown(&characters[..first]), shown(&characters[length - last..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_part_is_found_in_every_form_of_the_header() {
        for value in [
            "sip:+4930123@example.com",
            "<sip:+4930123@example.com>",
            "Anna <SIP:+4930123@example.com;transport=tls>;tag=88",
            "\"Anna \\\" <sip:+1999@evil.example>\" <sips:+4930123:secret@example.com>",
            " <tel:+4930123;phone-context=example.com> ",
            "sip:+4930123;isub=1@example.com;tag=1",
            "<sip:%2B4930123@example.com>",
            "<sip:%2b%34930%3123%3Bisub=1@example.com>",
        ] {
            assert_eq!(user(value).unwrap().trim_end_matches(";isub=1"), "+4930123", "{value}");
        }
        for value in ["", "Anna", "<sip:example.com>", "\"<sip:+1@x>", "<sip:+1@x", "mailto:a@b", "sip:@x", "<tel:>"] {
            assert_eq!(user(value), None, "{value}");
        }
    }

    #[test]
    fn escapes_in_a_user_part_are_read_and_anything_else_is_left_alone() {
        for (escaped, read) in [
            ("%40home", "@home"),
            ("J%C3%B6rg", "J\u{f6}rg"),
            ("%FFx", "\u{fffd}x"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%+1%zz%2", "%+1%zz%2"),
            ("%\u{e4}", "%\u{e4}"),
            ("%252B", "%2B"),
        ] {
            assert_eq!(user(&format!("<sip:{escaped}@example.com>")).unwrap(), read);
        }
    }

    #[test]
    fn little_of_a_number_is_shown() {
        assert_eq!(mask("+49301234589"), "+49*******89");
        assert_eq!(mask("+12345678"), "*********");
        assert_eq!(mask(&"9".repeat(4000)), "999**********99");
        assert_eq!(mask("\u{1b}[31m\u{e4}12345"), "?[3******45");
    }
}
