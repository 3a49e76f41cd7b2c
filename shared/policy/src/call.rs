//! An incoming call, and the caller and the called number in its SIP headers. The headers are written by the caller.

use hooks_webhook::{CallApi, Event, EventData, SipInvite};

use crate::address;

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

    /// The number in `From` or `To`, whole. It is personal data: never for a log.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<String> {
        self.invite.values(name).flatten().find_map(|value| address::user(value).ok())
    }

    /// The number in `From` or `To`, masked; `unreadable` when the header is there and its address cannot be read.
    #[must_use]
    pub fn masked(&self, name: &str) -> Option<String> {
        let mut values = self.invite.values(name).peekable();
        values.peek()?;
        let user = values.flatten().find_map(|value| address::user(value).ok());
        Some(user.map_or_else(|| "unreadable".to_owned(), |user| mask(&user)))
    }

    /// The text with the caller's and the called number masked: as they are in the headers, and without escapes and
    /// separators.
    #[must_use]
    pub fn mask_numbers(&self, text: &str) -> String {
        let mut numbers: Vec<String> = Vec::new();
        for value in ["From", "To"].into_iter().flat_map(|name| self.invite.values(name)).flatten() {
            numbers.extend(address::user(value).ok());
            if let Ok(written) = address::escaped_user(value) {
                numbers.push(written.to_owned());
                numbers.extend(address::unescaped(written).ok());
            }
            numbers.extend(value.split(|c: char| !c.is_ascii_digit()).map(str::to_owned));
        }
        let mut numbers: Vec<&str> = numbers.iter().map(|number| number.trim_start_matches('+')).collect();
        numbers.retain(|number| number.len() >= MIN_MASKED_LENGTH);
        // The longest first: a part of a number must not be masked before the whole.
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(number.len()));
        numbers.iter().fold(text.to_owned(), |text, number| text.replace(number, &mask(number)))
    }
}

/// The number or name of an address, masked: of a `tel:` or `sip:` URI, or of a number alone.
#[must_use]
pub fn masked_address(value: &str) -> String {
    mask(&address::user(value).unwrap_or_else(|_| value.to_owned()))
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
    fn little_of_a_number_is_shown() {
        assert_eq!(mask("+49301234589"), "+49*******89");
        assert_eq!(mask("+12345678"), "*********");
        assert_eq!(mask(&"9".repeat(4000)), "999**********99");
        let addresses = ["tel:+49-30-1234589", "<sip:+49301234589@x>", "+49301234589"];
        assert_eq!(addresses.map(masked_address), ["+49*******89"; 3]);
        assert_eq!(mask("\u{1b}[31m\u{e4}12345"), "?[3******45");
    }

    #[test]
    fn the_numbers_of_a_call_are_masked_in_a_text_however_they_are_written() {
        let invite =
            SipInvite::of([("f", "\"+4930123456789\" <sip:%2B49-30-123456789@x"), ("To", "<tel:+1-800-5550100>")]);
        let call = Call { api: CallApi::Live, id: "live_1", invite: &invite };
        let masked = call.mask_numbers("from +4930123456789 or 30-123456789 to +1-800-5550100 or 18005550100");
        for number in ["123456789", "5550100"] {
            assert!(!masked.contains(number), "{masked}");
        }
        assert_eq!(call.masked("From").as_deref(), Some("unreadable"));
        assert_eq!(call.masked("To").as_deref(), Some("+18*******00"));
    }
}
