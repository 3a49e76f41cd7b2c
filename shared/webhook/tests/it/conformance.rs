//! The corpus in `conformance/`: what must be accepted, and what must be refused for which reason.

use crate::corpus::{SECTIONS, Vector, sections, vectors};
use hooks_webhook::{Secret, verify};

/// Verdict on a vector.
fn verdict(vector: &Vector) -> String {
    let parse = |text: &String| Secret::parse_for(vector.scheme(), text);
    let Ok(secrets) = vector.secrets.iter().map(parse).collect::<Result<Vec<_>, _>>() else {
        return "invalid_secret".to_owned();
    };
    let (headers, body) = (vector.header_map(), vector.body());
    let verdict = verify(vector.scheme(), &secrets, &headers, &body, vector.now).and_then(hooks_webhook::Signed::parse);
    match verdict {
        Ok(verified) => {
            assert_eq!(verified.body().as_bytes(), body, "{}: the body is handed on unchanged", vector.name);
            "accepted".to_owned()
        }
        Err(refusal) => {
            assert_nothing_shows(&format!("{refusal} {refusal:?}"), vector);
            refusal.reason().to_owned()
        }
    }
}

/// A refusal may name a header, but shows no value of one, no body and no secret.
fn assert_nothing_shows(refusal: &str, vector: &Vector) {
    let body = String::from_utf8_lossy(&vector.body()).into_owned();
    let values = vector.headers.iter().map(|(_, value)| value).chain(&vector.secrets).chain([&body]);
    for value in values.filter(|value| value.len() > 3) {
        assert!(!refusal.contains(value.as_str()), "{}: `{refusal}` shows `{value}`", vector.name);
    }
}

#[test]
fn every_vector_gets_its_verdict() {
    let wrong: Vec<_> = vectors()
        .iter()
        .map(|vector| (verdict(vector), vector))
        .filter(|(verdict, vector)| *verdict != vector.verdict)
        .map(|(verdict, vector)| format!("{}: expected {}, got {verdict}", vector.name, vector.verdict))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_section_is_missing_or_empty_and_each_says_who_signed() {
    let sections = sections();
    let names: Vec<_> = sections.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(names, SECTIONS);
    for section in &sections {
        assert!(!section.vectors.is_empty(), "{} is empty", section.name);
        assert!(!section.signed_by.is_empty(), "{} does not say by what its vectors were signed", section.name);
    }
    assert!(vectors().len() >= 60);
}

#[test]
fn every_section_has_vectors_in_both_directions() {
    for section in sections() {
        let accepted = section.vectors.iter().filter(|vector| vector.verdict == "accepted").count();
        assert!(accepted > 0, "{} accepts nothing", section.name);
        assert!(accepted < section.vectors.len(), "{} refuses nothing", section.name);
    }
}

#[test]
fn every_reason_occurs() {
    let reasons = [
        "body_too_large",
        "missing_header",
        "duplicate_header",
        "malformed_timestamp",
        "timestamp_too_old",
        "timestamp_too_new",
        "no_matching_signature",
        "malformed_body",
        "invalid_secret",
    ];
    let vectors = vectors();
    for reason in reasons {
        assert!(vectors.iter().any(|vector| vector.verdict == reason), "nothing is refused as {reason}");
    }
}

#[test]
fn every_vector_has_a_name_of_its_own() {
    let mut names: Vec<_> = vectors().into_iter().map(|vector| vector.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}
