//! Texts from outside, made safe to show: in a terminal, a mail, a log.

/// The length limit: enough for a sentence or two, too short for much user data.
const MAX_CHARS: usize = 300;

/// The replacement of API keys.
const MASK: &str = "sk-***";

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
        shown.push(if next.is_control() { ' ' } else { next });
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
    use super::for_display;

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
}
