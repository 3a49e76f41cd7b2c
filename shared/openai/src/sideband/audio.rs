//! Recognition of reflected audio without reading it.

use super::event::Side;

/// How much of a message's beginning may be looked at for its type, bytes. What OpenAI writes before it are ids and times.
const HEAD: usize = 512;

/// The types of messages whose weight is audio, and whose voice it is. Live reflects both sides to a sideband (documented);
/// that Realtime may reflect the model's is an assumption.
const AUDIO: [(&[u8], Side); 3] = [
    (b"session.input_audio.append", Side::Caller),
    (b"session.output_audio.delta", Side::Model),
    (b"response.output_audio.delta", Side::Model),
];

/// Whose audio a message is; `None` for any other message.
///
/// The type is looked for at the message's beginning, among the members that are neither objects nor lists, and then as its
/// very last member: the audio itself is never read, however long it is.
pub(super) fn side_of(message: &[u8]) -> Option<Side> {
    let kind = first_type(message).or_else(|| last_type(message))?;
    AUDIO.iter().find(|(known, _)| *known == kind).map(|(_, side)| *side)
}

fn first_type(message: &[u8]) -> Option<&[u8]> {
    let head = &message[..message.len().min(HEAD)];
    let mut rest = after(head, b'{')?;
    loop {
        let (name, tail) = string(rest)?;
        let (value, tail) = scalar(after(tail, b':')?)?;
        if name == b"type" {
            return Some(value);
        }
        rest = after(tail, b',')?;
    }
}

fn last_type(message: &[u8]) -> Option<&[u8]> {
    let rest = before(before(message, b'}')?, b'"')?;
    let begin = rest.len() - rest.iter().rev().take(HEAD).position(|byte| *byte == b'"')?;
    let (rest, value) = rest.split_at(begin);
    let name = before(before(rest, b'"')?, b':')?.trim_ascii_end();
    before(name.strip_suffix(b"\"type\"")?, b',')?;
    Some(value)
}

/// What comes after this byte and white space before it.
fn after(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.trim_ascii_start().strip_prefix(&[byte])
}

/// What comes before this byte and white space after it.
fn before(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.trim_ascii_end().strip_suffix(&[byte])
}

/// A string without escapes, and what comes after it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = after(text, b'"')?;
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    text[end..].strip_prefix(b"\"").map(|rest| (&text[..end], rest))
}

/// A string, number or word, and what comes after it.
fn scalar(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    match text.first()? {
        b'"' => string(text),
        b'{' | b'[' => None,
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}')).map(|end| text.split_at(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Audio of 100 ms.
    fn audio() -> String {
        "UklGRiQA".repeat(800)
    }

    #[test]
    fn audio_is_recognised_wherever_its_type_stands() {
        let audio = audio();
        for (message, side) in [
            (format!(r#"{{"type":"session.input_audio.append","audio":"{audio}"}}"#), Side::Caller),
            (format!(r#"{{"audio":"{audio}","type":"session.input_audio.append"}}"#), Side::Caller),
            (format!(r#" {{ "audio" : "{audio}" , "type" : "session.input_audio.append" }} "#), Side::Caller),
            (
                format!(
                    r#"{{"event_id":"e","start_ms": 0,"end_ms":null,"type": "session.output_audio.delta","delta":"{audio}"}}"#
                ),
                Side::Model,
            ),
            (format!(r#"{{"type":"response.output_audio.delta","event_id":"e","delta":"{audio}"}}"#), Side::Model),
        ] {
            assert_eq!(side_of(message.as_bytes()), Some(side), "{}", &message[..80]);
        }
    }

    #[test]
    fn what_only_quotes_the_type_is_not_audio() {
        let quoted = r#"\",\"type\":\"session.input_audio.append"#;
        let long = "x".repeat(HEAD);
        for message in [
            String::new(),
            "{}".to_owned(),
            r#"{"type":"session.input_audio.appended","audio":""}"#.to_owned(),
            format!(r#"{{"type":"session.output_transcript.delta","delta":"{quoted}"}}"#),
            format!(r#"{{"delta":"{long}{quoted}"}}"#),
            format!(r#"{{"type":"error","x":"{long}","type":"session.input_audio.append"}}"#),
            format!(r#"{{"x":"{long}","error":{{"a":1,"type":"session.input_audio.append"}}}}"#),
            format!(r#"{{"x":["{long}"],"no":"type","session.input_audio.append"}}"#),
            r#"{"session":{"type":"session.input_audio.append"}}"#.to_owned(),
        ] {
            assert_eq!(side_of(message.as_bytes()), None, "{message}");
        }
    }
}
