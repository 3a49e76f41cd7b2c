//! Texts from outside, made safe to show: in a terminal, a mail, a log.
//!
//! A control character can move a terminal's cursor, and a bidirectional mark can turn a text around. [`is_shown`] says
//! which characters are shown as they are; everything here, and whatever shows a text, goes by it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The length limit: enough for a sentence or two, too short for much user data.
const MAX_CHARS: usize = 300;

/// The replacement of API keys.
const MASK: &str = "sk-***";

/// Whether a character is shown as it is: not a control character (C0, DEL, C1), a line or paragraph separator, a
/// bidirectional mark, or any other character without a picture of its own.
#[must_use]
pub const fn is_shown(character: char) -> bool {
    !matches!(
        character,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}'
            | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A text of several lines for a terminal or a mail: every character that is not shown becomes its escape, such as
/// `\u{1b}`, apart from line feeds and tabs.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t'], |shown, character| {
        shown.extend(character.escape_default());
    })
}

/// A text of one line: as [`lines`], with line feeds and tabs escaped too.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, &[], |shown, character| shown.extend(character.escape_default()))
}

/// A JSON text, with every character that is not shown as its JSON escape, so that the value stays the same.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t', '\r'], |shown, character| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

fn escaped<'a>(text: &'a str, kept: &[char], escape: impl Fn(&mut String, char)) -> Cow<'a, str> {
    let passes = |character: char| is_shown(character) || kept.contains(&character);
    if text.chars().all(passes) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if passes(character) { shown.push(character) } else { escape(&mut shown, character) }
    }
    Cow::Owned(shown)
}

/// A message from outside, made safe for logs, alerts and errors: one line, at most 300 characters, and whatever looks like
/// an API key (`sk-...`) masked. OpenAI's messages quote a part of a refused key.
#[must_use]
pub fn for_display(message: &str) -> String {
    let mut shown = String::new();
    let mut rest: &str = message.trim();
    let mut left = MAX_CHARS;
    let mut within_word = false;
    while let Some(next) = rest.chars().next() {
        if left == 0 {
            shown.push('…');
            break;
        }
        if !within_word && let Some(tail) = rest.strip_prefix("sk-") {
            let end = tail.find(|c: char| !is_key_character(c)).unwrap_or(tail.len());
            if end > 0 {
                shown.push_str(MASK);
                left = left.saturating_sub(MASK.len());
                rest = &tail[end..];
                continue;
            }
        }
        within_word = next.is_ascii_alphanumeric();
        shown.push(if is_shown(next) { next } else { ' ' });
        left -= 1;
        rest = &rest[next.len_utf8()..];
    }
    shown
}

/// OpenAI shows refused keys with asterisks in the middle, which count as a part of the key.
fn is_key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_masked_wherever_it_stands() {
        let message =
            "Incorrect API key provided: sk-proj-abc***********wxyz. Find yours at https://platform.openai.com.";
        let shown = for_display(message);
        assert!(shown.starts_with("Incorrect API key provided: sk-*** Find"), "{shown}");
        assert_eq!(for_display("sk-a,(sk-b)"), "sk-***,(sk-***)");
    }

    #[test]
    fn a_word_that_only_contains_the_prefix_is_left_alone() {
        assert_eq!(for_display("ask-me, disk-full, sk- alone"), "ask-me, disk-full, sk- alone");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let shown = for_display(&"\u{e4}".repeat(10_000));
        assert_eq!(shown.chars().count(), 301);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(for_display("a\r\nb\u{0}"), "a  b ");
    }

    #[test]
    fn what_moves_the_cursor_or_turns_the_text_is_escaped() {
        assert_eq!(
            lines("a\u{1b}[31m\u{9b}2J\u{202e}b\u{200f}\n\tc\r"),
            "a\\u{1b}[31m\\u{9b}2J\\u{202e}b\\u{200f}\n\tc\\r"
        );
        assert_eq!(line("a\nb"), "a\\nb");
        assert_eq!(json("{\"a\":\"\u{9b}\u{e0041}\"}"), "{\"a\":\"\\u009b\\udb40\\udc41\"}");
        for plain in ["Gr\u{fc}\u{df}e, \u{4f60}\u{597d} \u{1f600}", "", "\u{fffd}"] {
            assert!(matches!(lines(plain), Cow::Borrowed(same) if same == plain));
        }
    }

    proptest! {
        #[test]
        fn nothing_but_shown_characters_leaves_any_function(text in any::<String>()) {
            prop_assert!(lines(&text).chars().all(|c| is_shown(c) || c == '\n' || c == '\t'));
            prop_assert!(line(&text).chars().all(is_shown));
            prop_assert!(for_display(&text).chars().all(is_shown));
            prop_assert!(json(&text).chars().all(|c| is_shown(c) || matches!(c, '\n' | '\t' | '\r')));
        }

        /// Of all characters that Unicode calls control or format characters, and of those that turn the text.
        #[test]
        fn no_control_or_bidirectional_character_is_shown(c in any::<char>()) {
            let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || turns {
                prop_assert!(!is_shown(c));
            }
        }

        #[test]
        fn a_json_text_keeps_its_value(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&json(&written)).unwrap(), text);
        }
    }

    /// The property above meets a given character rarely, so all that have a reason are tried.
    #[test]
    fn every_control_and_bidirectional_character_is_escaped() {
        let controls = (0..=0x9f).filter_map(char::from_u32).filter(|c| c.is_control());
        let marks = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{feff}";
        for character in controls.chain(marks.chars()) {
            assert!(!line(&character.to_string()).contains(character), "{character:?}");
        }
    }
}
