//! Cost of the signature check, compared with the bare HMAC and with the `standardwebhooks` crate, in one process.
//!
//! ```text
//! cargo run --release -p bench --bin verify
//! ```
//!
//! The candidates take turns, so a busy machine slows all of them alike; the figures are medians over the rounds. The bare
//! HMAC starts from its key schedule and one contiguous copy of the signed bytes, and compares nothing.

use std::error::Error;
use std::hint::black_box;
use std::time::{Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hooks_webhook::{Scheme, Secret, VerifyError, verify};
use http::HeaderMap;
use sha2::Sha256;
use standardwebhooks::Webhook;

/// Body sizes in bytes, each with the maximum cost relative to the bare HMAC: a thin event, a phone call with its SIP
/// headers, and far more than OpenAI sends.
const SIZES: [(usize, f64); 3] = [(150, 1.6), (2_048, 1.3), (65_536, 1.1)];

/// Minimum speed relative to the `standardwebhooks` crate.
const MIN_SPEED_UP: f64 = 4.0;

/// Rounds per size.
const ROUNDS: usize = 401;

/// Approximate length of a turn in nanoseconds: long compared with reading the clock, short compared with a time slice.
const TURN: u128 = 100_000;

const KEY: &[u8; 32] = b"a key of thirty-two bytes or so.";
const ID: &str = "wh_685c059ae39c8190af8c71ed1022a24d";

fn main() -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let secrets = [Secret::parse(&secret)?];
    let reference = Webhook::new(&secret)?;
    let keyed = Hmac::<Sha256>::new_from_slice(KEY)?;

    println!("Signature check, medians of {ROUNDS} interleaved rounds (target: at least {MIN_SPEED_UP}x as fast)");
    println!();
    println!("  body bytes   bare HMAC      verify   of bare (target)   and parse   standardwebhooks   speed-up");
    for (size, target) in SIZES {
        let body = body(size);
        let signed = [format!("{ID}.{now}.").as_bytes(), &body].concat();
        let tag = STANDARD.encode(keyed.clone().chain_update(&signed).finalize().into_bytes());
        let headers = headers(now, &format!("v1,{tag}"), size)?;

        let mut bare = || {
            black_box(keyed.clone().chain_update(black_box(&signed)).finalize());
        };
        let check = |parse: bool| -> Result<(), VerifyError> {
            let standard = Scheme::StandardWebhooks;
            let signed = verify(standard, black_box(&secrets), black_box(&headers), black_box(&body), black_box(now))?;
            if parse {
                let _ = black_box(signed.parse()?);
            } else {
                let _ = black_box(signed);
            }
            Ok(())
        };
        check(true)?;
        reference.verify(&body, &headers)?;
        let mut verify_only = || _ = black_box(check(false).is_ok());
        let mut and_parse = || _ = black_box(check(true));
        let mut standardwebhooks = || _ = black_box(reference.verify(black_box(&body), black_box(&headers)));

        let [bare, ours, parsed, theirs] =
            medians([&mut bare, &mut verify_only, &mut and_parse, &mut standardwebhooks]);
        println!(
            "{size:>12} {bare:>8.0} ns {ours:>8.0} ns {:>8.2}x {target:>7.1}x {parsed:>8.0} ns {theirs:>15.0} ns {:>8.1}x",
            ours / bare,
            theirs / ours
        );
    }
    Ok(())
}

/// Median time of a call to each candidate in nanoseconds.
fn medians<const N: usize>(mut candidates: [&mut dyn FnMut(); N]) -> [f64; N] {
    let calls = candidates.each_mut().map(|candidate| {
        let mut calls = 1_u32;
        while time(*candidate, calls).0 < TURN {
            calls *= 2;
        }
        calls
    });
    let mut times = [const { Vec::new() }; N];
    for round in 0..ROUNDS {
        for turn in 0..N {
            let turn = (round + turn) % N;
            times[turn].push(time(candidates[turn], calls[turn]).1);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// Duration of `calls` calls in nanoseconds: the sum, and the mean.
fn time(candidate: &mut dyn FnMut(), calls: u32) -> (u128, f64) {
    let start = Instant::now();
    for _ in 0..calls {
        candidate();
    }
    let elapsed = start.elapsed();
    (elapsed.as_nanos(), elapsed.as_secs_f64() * 1e9 / f64::from(calls))
}

/// An event of `size` bytes.
fn body(size: usize) -> Vec<u8> {
    let mut body =
        br#"{"id":"evt_685c059ae3a481909bdc86819b066fb6","object":"event","created_at":1750861210,"#.to_vec();
    body.extend(br#""type":"response.completed","data":{"id":""#);
    body.resize(size - 3, b'x');
    body.extend(br#""}}"#);
    body
}

/// Headers of a delivery as an HTTP API passes them on.
fn headers(now: u64, signature: &str, length: usize) -> Result<HeaderMap, http::header::InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", "*/*".parse()?);
    headers.insert("accept-encoding", "gzip, deflate".parse()?);
    headers.insert("content-length", length.into());
    headers.insert("content-type", "application/json".parse()?);
    headers.insert("host", "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com".parse()?);
    headers.insert("user-agent", "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)".parse()?);
    headers.insert("webhook-id", ID.parse()?);
    headers.insert("webhook-signature", signature.parse()?);
    headers.insert("webhook-timestamp", now.into());
    headers.insert("x-amzn-trace-id", "Root=1-685c059a-3c1f0c5d2b7a4e6f8091a2b3".parse()?);
    headers.insert("x-forwarded-for", "203.0.113.7".parse()?);
    headers.insert("x-forwarded-port", "443".parse()?);
    headers.insert("x-forwarded-proto", "https".parse()?);
    Ok(headers)
}
