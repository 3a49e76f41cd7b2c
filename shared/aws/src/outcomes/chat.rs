//! Alerts in chats: the custom notification that Amazon Q Developer in chat applications (AWS Chatbot before) renders in
//! Slack and Microsoft Teams.
//!
//! <https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>. It subscribes to a topic by HTTPS, and shows
//! nothing of a message in another format.

use serde_json::{Value, json};

use super::Notice;

/// Maximum length of the description in characters: what one block of Slack shows.
const MAX_DESCRIPTION: usize = 3000;

/// Maximum length of other texts in characters. Steps are sentences, keywords are names.
const MAX_TEXT: usize = 1000;

/// Label of the line of an alert's text that says what to do. Lines that go on with it are indented.
const TO_DO: &str = "To do  ";

/// The notification of an alert. `subject` and `text` are those of the mail.
pub(super) fn notification(notice: &Notice<'_>, subject: &str, text: &str) -> Value {
    let (mut description, mut steps, mut is_step) = (String::new(), String::new(), false);
    for line in text.lines() {
        is_step = line.starts_with(TO_DO) || (is_step && line.starts_with(' '));
        let (part, line) = if is_step {
            (&mut steps, line.strip_prefix(TO_DO).unwrap_or(line).trim())
        } else {
            (&mut description, line)
        };
        if !part.is_empty() {
            part.push('\n');
        }
        part.push_str(line);
    }
    if description.trim().is_empty() {
        // The one text that must be there.
        subject.clone_into(&mut description);
    }
    let Notice { category, event_type, reason, id, severity, .. } = *notice;
    let given = |texts: &[&str]| -> Vec<String> {
        texts.iter().filter(|text| !text.is_empty()).map(|text| plain(text, MAX_TEXT)).collect()
    };
    json!({
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": plain(subject, MAX_TEXT),
            "description": plain(description.trim_end(), MAX_DESCRIPTION),
            "nextSteps": given(&[&steps]),
            "keywords": given(&[severity, category, reason]),
        },
        "metadata": {
            // Alerts of one kind make one thread.
            "threadId": plain(&format!("{category}/{reason}/{severity}"), MAX_TEXT),
            "summary": plain(subject, MAX_TEXT),
            "eventType": plain(event_type, MAX_TEXT),
            "relatedResources": given(&[id]),
            "additionalContext": {"category": plain(category, MAX_TEXT), "severity": plain(severity, MAX_TEXT)},
        },
    })
}

/// The beginning of a text, in which nobody is called (`<!channel>`) and no link has another's name (`<URL|name>`,
/// `[name](URL)`): parts of it come from callers and models.
fn plain(text: &str, longest: usize) -> String {
    let shown = text.replace('<', "\u{2039}").replace('>', "\u{203a}").replace("](", "] (");
    match shown.char_indices().nth(longest) {
        None => shown,
        Some((end, _)) => format!("{}\u{2026}", &shown[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice<'a>() -> Notice<'a> {
        Notice {
            category: "batch",
            event_type: "batch.failed",
            reason: "batch.failed",
            id: "evt_1",
            severity: "critical",
            subject: "",
            message: "",
        }
    }

    #[test]
    fn a_notification_has_the_format_that_the_chat_integration_renders() {
        let text = "Batch batch_1 failed.\n\nWhat   3 lines\nTo do  Correct it.\n       Then again.\nWhere  s3://b/k\n";
        let expected = json!({
            "version": "1.0",
            "source": "custom",
            "content": {
                "textType": "client-markdown",
                "title": "Batch batch_1 failed",
                "description": "Batch batch_1 failed.\n\nWhat   3 lines\nWhere  s3://b/k",
                "nextSteps": ["Correct it.\nThen again."],
                "keywords": ["critical", "batch", "batch.failed"],
            },
            "metadata": {
                "threadId": "batch/batch.failed/critical",
                "summary": "Batch batch_1 failed",
                "eventType": "batch.failed",
                "relatedResources": ["evt_1"],
                "additionalContext": {"category": "batch", "severity": "critical"},
            },
        });
        assert_eq!(notification(&notice(), "Batch batch_1 failed", text), expected);
    }

    #[test]
    fn nobody_is_called_and_no_link_is_hidden_by_what_a_caller_says() {
        let text = "<!channel> see <https://evil.example|the console> or [the console](https://evil.example)";
        let made = notification(&notice(), text, text).to_string();
        for forbidden in ["<", ">", "]("] {
            assert!(!made.contains(forbidden), "{made}");
        }
    }

    #[test]
    fn a_description_is_never_empty_and_never_too_long() {
        let made = notification(&notice(), "Subject", "To do  All of it.\n");
        assert_eq!(made["content"]["description"], "Subject");
        let made = notification(&Notice { id: "", ..notice() }, "Subject", &"\u{20ac}".repeat(9000));
        assert_eq!(made["content"]["description"].as_str().unwrap().chars().count(), MAX_DESCRIPTION + 1);
        assert_eq!((&made["content"]["nextSteps"], &made["metadata"]["relatedResources"]), (&json!([]), &json!([])));
    }
}
