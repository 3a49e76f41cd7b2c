//! The steps of the check. [`hooks_webhook::verify`] decides which step fails; this module says why.

use std::fmt::Write as _;

use hooks_webhook::{MAX_BODY, Scheme, Secret, TOLERANCE, VerifyError, reject_joined_headers, verify};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

use super::capture::Capture;
use super::{Secrets, rfc3339};
use crate::sign::NamedSecret;

/// The steps, in order.
const STEPS: [&str; 5] = ["size", "headers", "timestamp", "signature", "json"];

/// Last second of the year 9999: what is later is in another unit.
const LATEST: u64 = 253_402_300_799;

/// Outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Passed,
    Failed,
    NotReached,
}

/// A step with its outcome.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    pub(super) fix: Option<String>,
}

/// Result of the check.
pub(super) struct Report {
    pub(super) refusal: Option<VerifyError>,
    pub(super) rows: Vec<Row>,
    pub(super) event: Option<Value>,
}

pub(super) fn explain(capture: &Capture, secrets: &Secrets, at: u64) -> Report {
    let (refusal, event) = match check(capture, secrets, at) {
        Ok(event) => (None, Some(event)),
        Err(refusal) => (Some(refusal), None),
    };
    let mut rows: Vec<Row> = STEPS
        .iter()
        .enumerate()
        .map(|(step, name)| {
            let (outcome, detail, fix) = match refusal.map(|refusal| (refusal, step_of(refusal))) {
                Some((refusal, failed)) if step == failed => {
                    let (detail, fix) = failure(refusal, capture, secrets, at);
                    (Outcome::Failed, detail, Some(fix).filter(|fix| !fix.is_empty()))
                }
                Some((_, failed)) if step > failed => (Outcome::NotReached, String::new(), None),
                _ => (Outcome::Passed, success(step, capture, secrets, event.as_ref()), None),
            };
            Row { name, outcome, detail, fix }
        })
        .collect();
    // A capture is usually too old by now. The later steps are explained as of its own time.
    if let (Some(VerifyError::TimestampTooOld | VerifyError::TimestampTooNew), Some(own)) =
        (refusal, timestamp(secrets.scheme, &capture.headers).filter(|own| *own <= LATEST))
    {
        for (row, then) in rows.iter_mut().zip(explain(capture, secrets, own).rows).skip(3) {
            let detail = if then.detail.is_empty() { "not reached" } else { &then.detail };
            row.detail = format!("at its own time: {detail}");
            row.fix = then.fix;
        }
    }
    Report { refusal, rows, event }
}

/// The verifier's check, which also finds what API Gateway has joined.
fn check(capture: &Capture, secrets: &Secrets, at: u64) -> Result<Value, VerifyError> {
    if capture.body.len() <= MAX_BODY {
        reject_joined_headers(secrets.scheme, &capture.headers)?;
    }
    let accepted: Vec<Secret> = secrets.accepted.iter().map(|named| named.secret.clone()).collect();
    let event = verify(secrets.scheme, &accepted, &capture.headers, &capture.body, at)?.parse()?;
    Ok(json!({
        "webhook_id": event.webhook_id(),
        "id": event.event_id(),
        "type": event.event_type(),
        "category": event.category().as_str(),
    }))
}

/// The step that a refusal belongs to, as an index of [`STEPS`].
const fn step_of(refusal: VerifyError) -> usize {
    match refusal {
        VerifyError::BodyTooLarge => 0,
        VerifyError::MissingHeader(_) | VerifyError::DuplicateHeader(_) => 1,
        VerifyError::MalformedTimestamp | VerifyError::TimestampTooOld | VerifyError::TimestampTooNew => 2,
        VerifyError::NoMatchingSignature => 3,
        // `MalformedBody`, and refusals of later steps.
        _ => 4,
    }
}

fn success(step: usize, capture: &Capture, secrets: &Secrets, event: Option<&Value>) -> String {
    match step {
        0 => size(capture),
        1 => format!("{}: each present once", header_names(secrets.scheme, &capture.headers).all),
        2 => timestamp(secrets.scheme, &capture.headers).map(rfc3339).unwrap_or_default(),
        3 => signer(&secrets.accepted, capture, &capture.body)
            .map(|named| format!("made with {}", named.name))
            .unwrap_or_default(),
        _ => {
            let text = |name| event.and_then(|event| event[name].as_str()).unwrap_or_default();
            format!("{} {}, category {}", text("type"), text("id"), text("category"))
        }
    }
}

/// The cause of a refusal, and its fix.
fn failure(refusal: VerifyError, capture: &Capture, secrets: &Secrets, at: u64) -> (String, String) {
    let (detail, fix) = match refusal {
        VerifyError::BodyTooLarge => {
            (size(capture), "OpenAI's events are far shorter. Is this the body of one delivery, and nothing else?")
        }
        VerifyError::MissingHeader(name) => (
            format!("{name} is missing or empty"),
            "The sender signs with it. Did a proxy remove it, or does the capture lack it?",
        ),
        VerifyError::DuplicateHeader(name) => (
            if capture.headers.get_all(name).iter().count() > 1 {
                format!("{name} is present more than once")
            } else {
                format!("{name} was sent more than once: its values are joined by a comma, as API Gateway does")
            },
            "OpenAI sends it once. Configure the proxy that adds its own to pass the header on unchanged.",
        ),
        VerifyError::MalformedTimestamp => (
            format!("{} is not a number of seconds", header_names(secrets.scheme, &capture.headers).timestamp),
            "OpenAI sends Unix seconds in digits. Did a proxy rewrite the header?",
        ),
        VerifyError::TimestampTooOld | VerifyError::TimestampTooNew => return time(capture, secrets.scheme, at),
        VerifyError::NoMatchingSignature => return signature(capture, secrets),
        VerifyError::MalformedBody => (
            "the signature is right, but the body is not a JSON object with a `type` and an `id`".to_owned(),
            "The holder of the signing secret sent something other than an event.",
        ),
        other => (other.to_string(), ""),
    };
    (detail, fix.to_owned())
}

fn size(capture: &Capture) -> String {
    format!("{} bytes; the limit is {MAX_BODY}", capture.body.len())
}

fn time(capture: &Capture, scheme: Scheme, at: u64) -> (String, String) {
    let Some(own) = timestamp(scheme, &capture.headers).filter(|own| *own <= LATEST) else {
        let sent = capture.headers.get(header_names(scheme, &capture.headers).timestamp).map(HeaderValue::as_bytes);
        let sent = hooks_text::for_display(&String::from_utf8_lossy(sent.unwrap_or_default()));
        return (
            format!("{sent} is not a time in Unix seconds, which have ten digits"),
            "Is it in milliseconds? Whoever signs has to send seconds.".to_owned(),
        );
    };
    let side = if own < at { "before" } else { "after" };
    (
        format!("{}, {} s {side} {}; the tolerance is {TOLERANCE} s", rfc3339(own), own.abs_diff(at), rfc3339(at)),
        format!(
            "To check it as of its own time, add --at {own}. If it was refused then, a clock was wrong, or a queue or \
             proxy delayed it."
        ),
    )
}

fn signature(capture: &Capture, secrets: &Secrets) -> (String, String) {
    let header = header_names(secrets.scheme, &capture.headers).signature;
    let sent = capture.headers.get(header).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    if secrets.scheme == Scheme::StandardWebhooks
        && !sent.split(u8::is_ascii_whitespace).any(|item| item.starts_with(b"v1,"))
    {
        return (
            format!("{header} has no signature of version v1"),
            "OpenAI's have the form v1,<base64>. Did a proxy rewrite or cut the header?".to_owned(),
        );
    }
    if let Some(named) = signer(&secrets.others, capture, &capture.body) {
        return (
            format!("made with {}, which is not accepted here", named.name),
            "If it is another endpoint's secret, the URL registered at OpenAI is the wrong one. If it is the previous \
             secret, it ended 24 hours after the current one was stored: store the new one with `openai-webhooks \
             secret set`."
                .to_owned(),
        );
    }
    for (body, change) in variants(&capture.body) {
        if let Some(named) = signer(&secrets.accepted, capture, &body) {
            return (
                format!("made with {}, but over {change}", named.name),
                "Keep the body byte for byte as received; an editor or a parser changes what was signed.".to_owned(),
            );
        }
    }
    let names: Vec<&str> = secrets.accepted.iter().map(|named| named.name.as_str()).collect();
    let mut detail = format!("none was made with {} over these bytes", names.join(" or "));
    let length = capture.headers.get("content-length").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    if let Some(length) = length.filter(|length: &usize| *length != capture.body.len()) {
        let _ = write!(detail, "; the body has {} bytes, but content-length says {length}", capture.body.len());
    }
    (
        detail,
        "Either the secret is another endpoint's or an older one: compare its hint with `openai-webhooks endpoints \
         list`, or rotate. Or a proxy changed the body or a header: parsed and rewritten, decompressed, cut."
            .to_owned(),
    )
}

/// The secret that made a signature over this body, at whatever time.
fn signer<'a>(secrets: &'a [NamedSecret], capture: &Capture, body: &[u8]) -> Option<&'a NamedSecret> {
    secrets.iter().find(|named| {
        let scheme = named.secret.scheme();
        let secret = std::slice::from_ref(&named.secret);
        timestamp(scheme, &capture.headers).is_some_and(|at| verify(scheme, secret, &capture.headers, body, at).is_ok())
    })
}

/// Bodies that a tool or an editor may have turned into this one.
fn variants(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let text = String::from_utf8_lossy(body);
    vec![
        (body.trim_ascii_end().to_vec(), "the body without the white space at its end"),
        ([body, b"\n"].concat(), "the body with a line feed at its end"),
        ([body, b"\r\n"].concat(), "the body with CRLF at its end"),
        (text.replace("\r\n", "\n").into_bytes(), "the body with line feeds instead of CRLF"),
        (text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes(), "the body with CRLF instead of line feeds"),
        (body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(), "the body without its byte order mark"),
    ]
}

/// Headers of a scheme.
struct HeaderNames {
    all: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

fn header_names(scheme: Scheme, headers: &HeaderMap) -> HeaderNames {
    let (all, timestamp, signature) = match scheme {
        Scheme::StandardWebhooks => {
            ("webhook-id, webhook-timestamp, webhook-signature", "webhook-timestamp", "webhook-signature")
        }
        Scheme::TimestampedHex if headers.contains_key("x-signature-256") => {
            ("x-timestamp, x-signature-256", "x-timestamp", "x-signature-256")
        }
        Scheme::TimestampedHex => {
            ("x-openai-timestamp, x-openai-signature", "x-openai-timestamp", "x-openai-signature")
        }
    };
    HeaderNames { all, timestamp, signature }
}

/// The delivery's own time.
fn timestamp(scheme: Scheme, headers: &HeaderMap) -> Option<u64> {
    headers.get(header_names(scheme, headers).timestamp)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW: u64 = 1_795_272_793;

    fn explained(timestamp: &str, joined: bool) -> Report {
        let secret: Secret = Secret::parse(SECRET).unwrap();
        let body = br#"{"id":"evt_1","type":"batch.completed","data":{"id":"batch_1"}}"#;
        let signature = secret.sign("wh_1", timestamp.parse().unwrap_or_default(), body);
        let signature = if joined { format!("{signature},{signature}") } else { signature };
        let mut capture = Capture { body: body.to_vec(), ..Capture::default() };
        for (name, value) in
            [("webhook-id", "wh_1"), ("webhook-timestamp", timestamp), ("webhook-signature", signature.as_str())]
        {
            capture.add(name, value.as_bytes()).unwrap();
        }
        let named = NamedSecret { secret, name: "the secret".to_owned() };
        explain(&capture, &Secrets { scheme: Scheme::StandardWebhooks, accepted: vec![named], others: Vec::new() }, NOW)
    }

    #[test]
    fn headers_that_api_gateway_joins_get_the_verifier_s_verdict() {
        assert_eq!(explained("1795272792", false).refusal, None);
        let report = explained("1795272792", true);
        assert_eq!(report.refusal.map(VerifyError::reason), Some("duplicate_header"));
        assert!(report.rows[1].detail.contains("joined by a comma"), "{}", report.rows[1].detail);
    }

    #[test]
    fn a_timestamp_in_another_unit_is_shown_as_it_was_sent() {
        for sent in ["1795272792123", "1795272792123456", "1795272792123456789", "18446744073709551615"] {
            let report = explained(sent, false);
            let row = &report.rows[2];
            assert!(row.detail.starts_with(&format!("{sent} is not a time")), "{}", row.detail);
            assert!(row.fix.as_deref().unwrap_or_default().contains("milliseconds?"), "{sent}");
        }
    }
}
