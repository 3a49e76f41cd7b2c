//! Invariant: every event that Lambda may hand over is read or is about no HTTP request, and what is read is within its
//! bounds. The input is the event's JSON; what is not JSON never reaches a function.

#![no_main]

use hooks_webhook::{PERSONAL, Request, Scheme, Secret, masked, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if serde_json::from_slice::<serde::de::IgnoredAny>(input).is_err() {
        return;
    }
    let Some(request) = Request::read(input) else { return };
    assert!(request.headers.len() <= 2 * 7, "two lines of each signature header at most");
    assert!(request.body.len() <= 3 * input.len(), "nothing grows: U+FFFD has three bytes");
    if let Some(endpoint) = &request.endpoint {
        assert!(!endpoint.is_empty());
    }
    let secrets = [Secret::parse("whsec_cHJvamVjdHByb2plY3Rwcm9qZWN0").unwrap()];
    for scheme in [Scheme::StandardWebhooks, Scheme::TimestampedHex] {
        let _ = request.reject_joined_headers(scheme);
        assert!(verify(scheme, &secrets, &request.headers, &request.body, 1_795_219_200).is_err(), "nobody can sign");
    }
    if let Ok(body) = str::from_utf8(&request.body) {
        if let Some(masked_body) = masked(body, &PERSONAL) {
            assert!(masked(&masked_body, &PERSONAL).is_none_or(|again| again == masked_body), "masked once is enough");
        }
    }
});
