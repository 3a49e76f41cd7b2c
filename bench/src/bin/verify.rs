//! What the signature check costs, beside the bare HMAC that no check can do without and beside the `standardwebhooks`
//! crate, in one process.
//!
//! ```text
//! cargo run --release -p bench --bin verify
//! ```
//!
//! The contestants take turns, so that a busy machine slows all of them; a row's numbers are medians over the rounds.
//! The bare HMAC is given its key schedule and one contiguous copy of the signed bytes for free, and compares nothing.

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

/// Body sizes in bytes: a thin event, a phone call with its SIP headers, and far more than OpenAI sends.
const SIZES: [usize; 3] = [150, 2_048, 65_536];

/// Turns per contestant and size.
const ROUNDS: usize = 401;

/// How long one turn takes, about, in nanoseconds: long beside the clock's own cost, short beside a time slice.
const TURN: u128 = 100_000;

const KEY: &[u8; 32] = b"a key of thirty-two bytes or so.";
const ID: &str = "wh_685c059ae39c8190af8c71ed1022a24d";

fn main() -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let secrets = [Secret::parse(&secret)?];
    let reference = Webhook::new(&secret)?;
    let keyed = Hmac::<Sha256>::new_from_slice(KEY)?;

    println!(
        "Signature check, medians of {ROUNDS} interleaved rounds (targets: at most 1.20x bare, at least 5x faster)"
    );
    println!();
    println!("  body bytes   bare HMAC      verify   of bare   and parse   standardwebhooks   faster by");
    for size in SIZES {
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
            "{size:>12} {bare:>8.0} ns {ours:>8.0} ns {:>8.2}x {parsed:>8.0} ns {theirs:>15.0} ns {:>10.1}x",
            ours / bare,
            theirs / ours
        );
    }
    Ok(())
}

/// The median time of each contestant's call, in nanoseconds.
fn medians<const N: usize>(mut contestants: [&mut dyn FnMut(); N]) -> [f64; N] {
    let calls = contestants.each_mut().map(|contestant| {
        let mut calls = 1_u32;
        while time(*contestant, calls).0 < TURN {
            calls *= 2;
        }
        calls
    });
    let mut times = [const { Vec::new() }; N];
    for round in 0..ROUNDS {
        for turn in 0..N {
            let turn = (round + turn) % N;
            times[turn].push(time(contestants[turn], calls[turn]).1);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// How long so many calls took: all of them, and one on average.
fn time(contestant: &mut dyn FnMut(), calls: u32) -> (u128, f64) {
    let start = Instant::now();
    for _ in 0..calls {
        contestant();
    }
    let elapsed = start.elapsed();
    (elapsed.as_nanos(), elapsed.as_secs_f64() * 1e9 / f64::from(calls))
}

/// An event of the given length.
fn body(size: usize) -> Vec<u8> {
    let mut body =
        br#"{"id":"evt_685c059ae3a481909bdc86819b066fb6","object":"event","created_at":1750861210,"#.to_vec();
    body.extend(br#""type":"response.completed","data":{"id":""#);
    body.resize(size - 3, b'x');
    body.extend(br#""}}"#);
    body
}

/// The headers of a delivery as an HTTP API hands them over.
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
