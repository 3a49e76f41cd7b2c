//! The check of a delivery row by row. Which row fails, [`hooks_webhook::verify`] says; here is only why.

use std::fmt::Write as _;

use hooks_webhook::{MAX_BODY, Scheme, Secret, TOLERANCE, Verified, VerifyError};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::capture::Capture;
use super::{Keys, shown_time};
use crate::signing::Found;

/// The rows, in the order in which they are checked.
const ROWS: [&str; 5] = ["size", "headers", "timestamp", "signature", "json"];

const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Passed,
    Failed,
    NotReached,
}

/// A row of the check.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    pub(super) fix: Option<String>,
}

/// The whole check.
pub(super) struct Report {
    pub(super) refusal: Option<VerifyError>,
    pub(super) rows: Vec<Row>,
    pub(super) event: Option<Value>,
}

pub(super) fn explain(capture: &Capture, keys: &Keys, at: u64) -> Report {
    let secrets = keys.secrets();
    let verdict = check(&secrets, &capture.headers, &capture.body, at);
    let (refusal, event) = match &verdict {
        Ok(event) => (None, Some(event.clone())),
        Err(refusal) => (Some(*refusal), None),
    };
    let mut rows: Vec<Row> = ROWS
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let outcome = match refusal.map(row_of) {
                None => Outcome::Passed,
                Some(failed) if index < failed => Outcome::Passed,
                Some(failed) if index == failed => Outcome::Failed,
                Some(_) => Outcome::NotReached,
            };
            let (detail, fix) = match (outcome, refusal) {
                (Outcome::Failed, Some(refusal)) => why(refusal, capture, keys, at),
                (Outcome::Passed, _) => (passed(index, capture, keys, event.as_ref()), None),
                _ => (String::new(), None),
            };
            Row { name, outcome, detail, fix }
        })
        .collect();
    // A capture is mostly judged too late. What the rest of the check would have said, it can say as well.
    if let (Some(VerifyError::TimestampTooOld | VerifyError::TimestampTooNew), Some(then)) =
        (refusal, timestamp(&capture.headers))
    {
        let then = explain(capture, keys, then);
        for (row, then) in rows.iter_mut().zip(then.rows).skip(3) {
            row.detail =
                format!("at its own time: {}", if then.detail.is_empty() { "not reached" } else { &then.detail });
            row.fix = then.fix;
        }
    }
    Report { refusal, rows, event }
}

/// The one check there is, to the end.
fn check(secrets: &[Secret], headers: &HeaderMap, body: &[u8], at: u64) -> Result<Value, VerifyError> {
    let verified = hooks_webhook::verify(Scheme::StandardWebhooks, secrets, headers, body, at)?.parse()?;
    Ok(shown(&verified))
}

fn shown(event: &Verified<'_>) -> Value {
    json!({
        "webhook_id": event.webhook_id(),
        "id": event.event_id(),
        "type": event.event_type(),
        "category": event.category().as_str(),
    })
}

/// The row that a refusal belongs to, as an index of [`ROWS`].
const fn row_of(refusal: VerifyError) -> usize {
    match refusal {
        VerifyError::BodyTooLarge => 0,
        VerifyError::MissingHeader(_) | VerifyError::DuplicateHeader(_) => 1,
        VerifyError::MalformedTimestamp | VerifyError::TimestampTooOld | VerifyError::TimestampTooNew => 2,
        VerifyError::NoMatchingSignature => 3,
        // `MalformedBody`, and whatever a later step may refuse.
        _ => 4,
    }
}

fn passed(row: usize, capture: &Capture, keys: &Keys, event: Option<&Value>) -> String {
    match row {
        0 => format!("{} bytes; at most {MAX_BODY} are taken", capture.body.len()),
        1 => format!("{}: each there once", HEADERS.join(", ")),
        2 => timestamp(&capture.headers).map(shown_time).unwrap_or_default(),
        3 => match matching(&keys.live, capture, &capture.body) {
            Some(found) => format!("made with {}", found.name),
            None => String::new(),
        },
        _ => {
            let text = |name| event.and_then(|event| event[name].as_str()).unwrap_or_default();
            format!("{} {}, for the category {}", text("type"), text("id"), text("category"))
        }
    }
}

/// What is wrong, and what to do about it.
fn why(refusal: VerifyError, capture: &Capture, keys: &Keys, at: u64) -> (String, Option<String>) {
    let (detail, fix) = match refusal {
        VerifyError::BodyTooLarge => (
            format!("{} bytes; at most {MAX_BODY} are taken", capture.body.len()),
            "OpenAI's events are far shorter. Is this the body of one delivery, and nothing else?".to_owned(),
        ),
        VerifyError::MissingHeader(name) => (
            format!("{name} is missing or empty"),
            "OpenAI sends all three. Did a proxy in front drop it, or the capture leave it out?".to_owned(),
        ),
        VerifyError::DuplicateHeader(name) => (
            format!("{name} is there more than once"),
            "OpenAI sends it once. A proxy in front adds its own; make it pass the header on unchanged.".to_owned(),
        ),
        VerifyError::MalformedTimestamp => (
            "webhook-timestamp is not a number of seconds".to_owned(),
            "OpenAI sends Unix seconds in digits. Did something in between rewrite the header?".to_owned(),
        ),
        VerifyError::TimestampTooOld | VerifyError::TimestampTooNew => time(capture, at),
        VerifyError::NoMatchingSignature => signature(capture, keys),
        VerifyError::MalformedBody => (
            "the body is signed, but is no JSON object with a `type` and an `id`".to_owned(),
            "Whoever has the signing secret sent something else than an event.".to_owned(),
        ),
        other => (other.to_string(), String::new()),
    };
    (detail, Some(fix).filter(|fix| !fix.is_empty()))
}

fn time(capture: &Capture, at: u64) -> (String, String) {
    let made = timestamp(&capture.headers).unwrap_or_default();
    let side = if made < at { "before" } else { "after" };
    let distance = made.abs_diff(at);
    (
        format!("{}, {distance} s {side} {}; {TOLERANCE} s are allowed", shown_time(made), shown_time(at)),
        format!(
            "To judge it as of when it was made, add --at {made}. If it was refused then, a clock was wrong, \
             or it came late through a queue or a proxy that repeats requests."
        ),
    )
}

fn signature(capture: &Capture, keys: &Keys) -> (String, String) {
    let sent = capture.headers.get(HEADERS[2]).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    if !sent.split(u8::is_ascii_whitespace).any(|item| item.starts_with(b"v1,")) {
        return (
            "webhook-signature has no signature of version v1".to_owned(),
            "OpenAI's look like v1,<base64>. Did something in between rewrite or cut the header?".to_owned(),
        );
    }
    if let Some(found) = matching(&keys.others, capture, &capture.body) {
        return (
            format!("made with {}, which is not accepted here", found.name),
            "If it is the other endpoint's, the URL registered at OpenAI is the wrong one. If it is the previous one, \
             it ended 24 hours after the current one was stored: store the new one with `openai-webhooks secret set`."
                .to_owned(),
        );
    }
    for (body, what) in variants(&capture.body) {
        if let Some(found) = matching(&keys.live, capture, &body) {
            return (
                format!("made with {}, but over {what}", found.name),
                "Keep the body byte for byte as it came; what is signed must not pass through an editor or a parser."
                    .to_owned(),
            );
        }
    }
    let names: Vec<&str> = keys.live.iter().map(|found| found.name.as_str()).collect();
    let mut detail = format!("none was made with {} over these bytes", names.join(" or "));
    let promised = capture.headers.get("content-length").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    if let Some(promised) = promised.filter(|promised: &usize| *promised != capture.body.len()) {
        let _ = write!(detail, "; the body has {} bytes, but content-length says {promised}", capture.body.len());
    }
    (
        detail,
        "Either the secret is another endpoint's or an older one: compare its hint with `openai-webhooks endpoints \
         list`, or rotate. Or the body or a header was changed on the way: parsed and written again, decompressed, cut."
            .to_owned(),
    )
}

/// The secret that made one of the signatures over this body, whenever that was.
fn matching<'a>(secrets: &'a [Found], capture: &Capture, body: &[u8]) -> Option<&'a Found> {
    let at = timestamp(&capture.headers)?;
    let is_signed_with = |found: &&Found| {
        let secrets = std::slice::from_ref(&found.secret);
        hooks_webhook::verify(Scheme::StandardWebhooks, secrets, &capture.headers, body, at).is_ok()
    };
    secrets.iter().find(is_signed_with)
}

/// The body as it may have been before a tool or an editor touched it.
fn variants(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let text = String::from_utf8_lossy(body);
    vec![
        (body.trim_ascii_end().to_vec(), "the body without the white space at its end"),
        ([body, b"\n"].concat(), "the body with a line feed at its end"),
        ([body, b"\r\n"].concat(), "the body with a line end after it"),
        (text.replace("\r\n", "\n").into_bytes(), "the body with line feeds instead of CRLF"),
        (text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes(), "the body with CRLF instead of line feeds"),
        (body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(), "the body without its byte order mark"),
    ]
}

/// The delivery's own time.
fn timestamp(headers: &HeaderMap) -> Option<u64> {
    headers.get(HEADERS[1])?.to_str().ok()?.parse().ok()
}
