//! A call that comes in, and what its SIP headers say about who calls whom. The caller wrote them.

use hooks_consumer::{Event, EventData, SipInvite};
use hooks_openai::CallApi;

/// The most that is shown of a number: so many of its first and last characters.
const SHOWN: (usize, usize) = (3, 2);

/// A shorter name would be shown for the greater part.
const LEAST_TO_SHOW: usize = 10;

/// What is shorter is an extension rather than a number, and may be a part of any word.
const LEAST_TO_MASK: usize = 5;

/// How many asterisks there are at most, so that the length of a name does not matter.
const MOST_STARS: usize = 10;

/// A call that waits to be answered.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The API that it waits for.
    pub(crate) api: CallApi,
    /// The call's or session's id there.
    pub(crate) id: &'a str,
    pub(crate) invite: &'a SipInvite,
}

impl<'a> Call<'a> {
    /// The call that the event announces, if it announces one.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
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

    /// The first value of a header. `From` and `To` may have their short forms (RFC 3261, section 7.3.3).
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let short = match name {
            _ if name.eq_ignore_ascii_case("from") => "f",
            _ if name.eq_ignore_ascii_case("to") => "t",
            _ => return self.invite.header(name),
        };
        self.invite.header(name).or_else(|| self.invite.header(short))
    }

    /// Who or what a `From` or `To` names, fit to be shown.
    pub(crate) fn masked(&self, name: &str) -> Option<String> {
        Some(masked(user(self.header(name)?)?))
    }

    /// A text in which somebody may quote the caller's or the called number, with these masked.
    pub(crate) fn without_numbers(&self, text: &str) -> String {
        let names = ["From", "To"].into_iter().filter_map(|name| user(self.header(name)?));
        names
            .map(|name| name.trim_start_matches('+'))
            .filter(|name| name.len() >= LEAST_TO_MASK)
            .fold(text.to_owned(), |text, name| text.replace(name, &masked(name)))
    }
}

/// The user part of the URI in a `From` or `To` header, which is the number of a phone: `+4930123` of
/// `"Anna" <sip:+4930123@example.com;user=phone>;tag=1`.
pub(crate) fn user(value: &str) -> Option<&str> {
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

/// What follows a quoted display name, which may hold anything, a URI in angle brackets included.
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

fn masked(name: &str) -> String {
    let characters: Vec<char> = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    let length = characters.len();
    if length < LEAST_TO_SHOW {
        return "*".repeat(length);
    }
    let (first, last) = SHOWN;
    let stars = "*".repeat((length - first - last).min(MOST_STARS));
    let shown = |range: &[char]| range.iter().collect::<String>();
    format!("{}{stars}{}", shown(&characters[..first]), shown(&characters[length - last..]))
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
        ] {
            assert_eq!(user(value), Some("+4930123"), "{value}");
        }
        for value in ["", "Anna", "<sip:example.com>", "\"<sip:+1@x>", "<sip:+1@x", "mailto:a@b", "sip:@x", "<tel:>"] {
            assert_eq!(user(value), None, "{value}");
        }
    }

    #[test]
    fn little_of_a_number_is_shown() {
        assert_eq!(masked("+49301234589"), "+49*******89");
        assert_eq!(masked("+12345678"), "*********");
        assert_eq!(masked(&"9".repeat(4000)), "999**********99");
        assert_eq!(masked("\u{1b}[31m\u{e4}12345"), "?[3******45");
    }
}
