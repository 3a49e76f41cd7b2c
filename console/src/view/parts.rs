//! States, ids, times, chips, commands, and the boxes that say something.

use maud::{Markup, html};

use super::format::{age, count, short, span, words};
use super::icons::icon;
use hooks_operate::timestamp::Timestamp;

/// The longest text of others that is shown as a whole, in characters. Beyond it the beginning is shown.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// Kind of a state: its icon's and class's name.
pub(crate) fn kind(state: &str) -> &'static str {
    match state {
        "completed" | "succeeded" | "done" | "processed" | "accepted" | "recorded" | "referred" | "met" | "enabled"
        | "idle" | "Confirmed" | "OK" | "running" | "finished" | "ended" => "done",
        "failed" | "expired" | "error" | "ALARM" | "overdue" | "deactivation" => "failed",
        "active" | "expected" | "in_progress" | "validating" | "finalizing" | "queued" | "cancelling"
        | "validating_files" | "replaying" => "busy",
        "retrying" => "retry",
        "paused" | "disabled" => "paused",
        "not_found" | "cancelled" | "unknown" | "rejected" | "stopped" => "gone",
        _ => "wait",
    }
}

/// A state: its shape, its word, its colour.
pub(crate) fn state(word: &str) -> Markup {
    labelled(kind(word), word)
}

/// A state with other words.
pub(crate) fn labelled(kind: &str, text: &str) -> Markup {
    let class = if kind == "retry" { "" } else { kind };
    html! { span.state.(class) { (icon(kind)) (words(text)) } }
}

/// A state in the head of a page.
pub(crate) fn large(word: &str) -> Markup {
    let kind = kind(word);
    html! { span.state.large.(kind) { (icon(kind)) (words(word)) } }
}

/// A state of an event: what is in progress without a running lease waits for its next attempt.
pub(crate) fn event_state(state_word: &str, reason: Option<&str>) -> Markup {
    if state_word == "in_progress" && reason == Some("retry") {
        labelled("retry", "retrying")
    } else {
        state(state_word)
    }
}

/// A button that copies. It is hidden where there is no script.
pub(crate) fn copy(text: &str, what: &str) -> Markup {
    html! { button.copy type="button" hidden data-copy=(text) aria-label={ "Copy " (what) } { (icon("copy")) } }
}

/// An id in a list.
pub(crate) fn id(id: &str) -> Markup {
    html! { code.id title=(id) { bdi { (short(id)) } } }
}

/// A link to an id in a list.
pub(crate) fn id_link(href: &str, id: &str) -> Markup {
    html! { a.id href=(href) title=(id) { bdi { (short(id)) } } }
}

/// A whole id with its button.
pub(crate) fn whole(id: &str, what: &str) -> Markup {
    html! { code.id.whole { bdi { (id) } } " " (copy(id, what)) }
}

/// Clock time in a list; the exact one on hover.
pub(crate) fn clock(at: Timestamp) -> Markup {
    let (json, text) = (at.json(), at.text());
    html! { time datetime=(json) title={ (text) " UTC" } data-as="clock" { (text.get(11..).unwrap_or(&text)) } }
}

/// Date and clock time in a list that spans days.
pub(crate) fn day_clock(at: Timestamp) -> Markup {
    let text = at.text();
    html! { time datetime=(at.json()) title={ (text) " UTC" } data-as="day" { (text.get(5..16).unwrap_or(&text)) } }
}

/// Date, time, zone.
pub(crate) fn exact(at: Timestamp) -> Markup {
    let text = format!("{}.{:03} UTC", at.text(), at.0.rem_euclid(1000));
    html! { time datetime=(at.json()) title=(text) data-as="full" { (text) } }
}

/// Age, with the exact time on hover.
pub(crate) fn aged(at: Timestamp) -> Markup {
    html! {
        time datetime=(at.json()) title={ (at.text()) " UTC" } data-as="age" { (age(now_millis() - at.0)) }
    }
}

/// Age with "ago", or what is to come.
pub(crate) fn ago(at: Timestamp) -> Markup {
    let passed = now_millis() - at.0;
    html! {
        @if passed < 0 {
            time datetime=(at.json()) title={ (at.text()) " UTC" } { "in " (span(-passed)) }
        } @else {
            time datetime=(at.json()) title={ (at.text()) " UTC" } data-as="ago" { (age(passed)) " ago" }
        }
    }
}

/// The current time in milliseconds.
pub(crate) fn now_millis() -> i64 {
    hooks_aws::clock::now_ms()
}

/// A number in a table: zeros are quiet.
pub(crate) fn number(value: u64) -> Markup {
    html! { @if value == 0 { span.zero { "0" } } @else { (count(value)) } }
}

/// A box that says something: `good`, `bad`, `warn` or nothing.
pub(crate) fn say(class: &str, icon_name: &str, lead: &str, more: &Markup) -> Markup {
    html! { div.say.(class) { (icon(icon_name)) div { p.lead { (lead) } (more) } } }
}

/// A part that could not be read: in its place on the page, with what to do.
pub(crate) fn unreadable(what: &str, failure: &crate::Failure) -> Markup {
    let more = html! {
        p { bdi { (failure.message) } }
        @if let Some(hint) = &failure.hint { p.quiet { (hint) } }
    };
    say("warn", "wait", &format!("{what} cannot be shown."), &more)
}

/// What is absent, and the next step.
pub(crate) fn empty(title: &str, more: &Markup) -> Markup {
    html! { div.empty { h3 { (title) } (more) } }
}

/// A command to copy.
pub(crate) fn command(command: &str) -> Markup {
    html! { li.command { code.id { (command) } (copy(command, "the command")) } }
}

/// Commands that do the same.
pub(crate) fn commands(commands: &[String]) -> Markup {
    html! {
        section { div.heading { h2 { "From the command line" } }
            ul { @for one in commands { (command(one)) } } }
    }
}

/// Text of others: wrapped, bounded in height and in length.
pub(crate) fn foreign(label: &str, text: &str) -> Markup {
    let cut = text.char_indices().nth(MAX_TEXT).map(|(at, _)| at);
    html! {
        pre tabindex="0" role="region" aria-label=(label) { (visible(&text[..cut.unwrap_or(text.len())])) }
        @if cut.is_some() { p.note { "Only the beginning: it has " (count(text.len())) " bytes." } }
    }
}

/// JSON of others, in lines, as it was if it is none.
pub(crate) fn json(label: &str, text: &str) -> Markup {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json { foreign(label, &in_lines(text)) } else { foreign(label, text) }
}

/// JSON with a line for each member and item. Its order and its numbers stay as they were.
fn in_lines(text: &str) -> String {
    let (mut lines, mut depth, mut quoted, mut escaped) =
        (String::with_capacity(text.len() * 2), 0_usize, false, false);
    let mut rest = text.chars().peekable();
    let line = |lines: &mut String, depth: usize| {
        lines.push('\n');
        // A deep text would become very long.
        lines.extend(std::iter::repeat_n("  ", depth.min(20)));
    };
    while let Some(character) = rest.next() {
        if quoted {
            lines.push(character);
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '{' | '[' => {
                lines.push(character);
                while rest.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    lines.push(end);
                } else {
                    depth += 1;
                    line(&mut lines, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut lines, depth);
                lines.push(character);
            }
            ',' => {
                lines.push(character);
                line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            character if character.is_whitespace() => {}
            character => {
                quoted = character == '"';
                lines.push(character);
            }
        }
    }
    lines
}

/// The text with control characters and those that turn its direction made visible.
pub(crate) fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        match character {
            '\n' | '\t' => shown.push(character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                shown.extend(character.escape_unicode());
            }
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hostile_is_shown_as_text() {
        let shown = foreign("body", "<script>alert(1)</script>\u{202e}txt\u{1b}[2J").into_string();
        assert!(shown.contains("&lt;script&gt;") && !shown.contains("<script>"), "{shown}");
        assert!(shown.contains("\\u{202e}") && shown.contains("\\u{1b}"), "{shown}");
    }

    #[test]
    fn json_is_shown_in_lines_and_in_its_own_order() {
        let text = r#"{"z":[1.10,{}],"a": "x,\"{y","empty":[ ]}"#;
        let lines = "{\n  \"z\": [\n    1.10,\n    {}\n  ],\n  \"a\": \"x,\\\"{y\",\n  \"empty\": []\n}";
        assert_eq!(in_lines(text), lines);
    }

    #[test]
    fn an_exact_time_has_all_its_digits() {
        let shown = exact(Timestamp(1_795_972_894_190)).into_string();
        assert!(shown.contains(">2026-11-29 17:21:34.190 UTC<"), "{shown}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let shown = foreign("body", &"ß".repeat(MAX_TEXT + 1)).into_string();
        assert!(shown.contains("Only the beginning") && shown.matches('ß').count() == MAX_TEXT);
    }
}
