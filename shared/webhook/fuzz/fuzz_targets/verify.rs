//! Invariant: nothing panics, and a delivery is accepted only if a live key signed exactly its bytes, in time.
//!
//! The input is an HTTP request without its first line: header lines, an empty line, the body. Since no fuzzer finds an
//! HMAC by trying, `@0` and `@1` in a header stand for the right signature under a live key, `@2` for one under a key
//! that is not live.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;
use hooks_webhook::{Event, Scheme, Secret, verify};

const NOW: u64 = 1_795_219_200;
const KEYS: [&[u8]; 3] = [b"the first of the live keys", b"the second of the live keys", b"a key that is not live"];
const LIVE: [&[u8]; 2] = [KEYS[0], KEYS[1]];

fuzz_target!(|input: &[u8]| {
    let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, &[][..]),
    };
    let usual = headers(head, |lines| {
        let [id, timestamp] = ["webhook-id", "webhook-timestamp"].map(|name| value(lines, name));
        KEYS.map(|key| STANDARD.encode(tag(key, &[id, timestamp, body].join(&b'.'))))
    });
    standard_webhooks(&usual, body);

    let legacy = headers(head, |lines| {
        let timestamp = value(lines, "x-openai-timestamp");
        KEYS.map(|key| hex(&tag(key, &[timestamp, body].join(&b'.'))))
    });
    timestamped_hex(&legacy, body);

    if let Ok(text) = str::from_utf8(body) {
        drop(Event::parse(text).map(|event| event.idempotency_key()));
    }
});

fn standard_webhooks(headers: &HeaderMap, body: &[u8]) {
    let secrets = LIVE.iter().map(|key| Secret::parse(&format!("whsec_{}", STANDARD.encode(key))).unwrap());
    let secrets: Vec<_> = secrets.collect();
    let Ok(signed) = verify(Scheme::StandardWebhooks, &secrets, headers, body, NOW) else { return };
    let [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| {
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(lines.len(), 1, "one line of {name}");
        lines[0].as_bytes()
    });
    assert_in_time(timestamp);
    let right = LIVE.map(|key| format!("v1,{}", STANDARD.encode(tag(key, &[id, timestamp, body].join(&b'.')))));
    let signed_by_a_live_key = |item: &[u8]| right.iter().any(|right| right.as_bytes() == item);
    assert!(signatures.split(u8::is_ascii_whitespace).any(signed_by_a_live_key));
    if let Ok(verified) = signed.parse() {
        assert_eq!(verified.body().as_bytes(), body);
        assert!(Event::parse(verified.body()).is_ok(), "what is let through can be read");
    }
}

fn timestamped_hex(headers: &HeaderMap, body: &[u8]) {
    let text = |key: &&[u8]| Secret::parse_for(Scheme::TimestampedHex, str::from_utf8(key).unwrap()).unwrap();
    let secrets: Vec<_> = LIVE.iter().map(text).collect();
    if verify(Scheme::TimestampedHex, &secrets, headers, body, NOW).is_err() {
        return;
    }
    let generic = headers.contains_key("x-signature-256");
    let names = if generic { ["x-timestamp", "x-signature-256"] } else { ["x-openai-timestamp", "x-openai-signature"] };
    let [timestamp, signature] = names.map(|name| headers[name].as_bytes());
    assert_in_time(timestamp);
    let prefix = if generic { "sha256=" } else { "" };
    let right = LIVE.map(|key| format!("{prefix}{}", hex(&tag(key, &[timestamp, body].join(&b'.')))));
    assert!(right.iter().any(|right| right.as_bytes().eq_ignore_ascii_case(signature)));
}

fn assert_in_time(timestamp: &[u8]) {
    let seconds: u64 = str::from_utf8(timestamp).unwrap().parse().unwrap();
    assert!(timestamp.iter().all(u8::is_ascii_digit) && seconds.abs_diff(NOW) <= 300);
}

/// The header lines, with the placeholders replaced by signatures that are made for them.
fn headers(head: &[u8], sign: impl Fn(&[(&[u8], &[u8])]) -> [String; 3]) -> HeaderMap {
    let lines: Vec<_> = head.split(|&byte| byte == b'\n').filter_map(split_line).collect();
    let signatures = sign(&lines);
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let mut written = Vec::new();
        let mut rest = value;
        while let [first, tail @ ..] = rest {
            match (first, tail) {
                (b'@', [key @ b'0'..=b'2', tail @ ..]) => {
                    written.extend_from_slice(signatures[usize::from(key - b'0')].as_bytes());
                    rest = tail;
                }
                _ => {
                    written.push(*first);
                    rest = tail;
                }
            }
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&written)) {
            headers.append(name, value);
        }
    }
    headers
}

fn split_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

fn value<'a>(lines: &[(&[u8], &'a [u8])], wanted: &str) -> &'a [u8] {
    let line = lines.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    line.map_or(&[], |(_, value)| value)
}

fn tag(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
