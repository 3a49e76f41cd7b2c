//! The plain copy: one GET, and PUTs of parts, two at a time, without parsing, signatures or checksums.

use std::error::Error;
use std::fs;
use std::mem;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

/// Part size and concurrency of the function.
const PART_BYTES: usize = 8 << 20;
const PARTS_IN_FLIGHT: usize = 2;

/// Copies `source` to `target` and prints the cost: microseconds, nanoseconds of CPU time, bytes of memory.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(source: &str, target: &str) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    // reqwest requires a provider even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut response = client.get(source).send().await?.error_for_status()?;
    let mut filling = BytesMut::with_capacity(PART_BYTES);
    let mut in_flight = JoinSet::new();
    let mut number = 0;
    loop {
        let chunk = response.chunk().await?;
        let is_end = chunk.is_none();
        let mut rest: &[u8] = &chunk.unwrap_or_default();
        while !rest.is_empty() || is_end {
            let (now, later) = rest.split_at(rest.len().min(PART_BYTES - filling.len()));
            filling.extend_from_slice(now);
            rest = later;
            if filling.len() == PART_BYTES || (is_end && !filling.is_empty()) {
                while in_flight.len() >= PARTS_IN_FLIGHT {
                    in_flight.join_next().await.transpose()?.transpose()?;
                }
                number += 1;
                let part = mem::replace(&mut filling, BytesMut::with_capacity(PART_BYTES)).freeze();
                in_flight.spawn(put(client.clone(), format!("{target}?partNumber={number}&uploadId=copy"), part));
            }
            if is_end {
                break;
            }
        }
        if is_end {
            break;
        }
    }
    while let Some(part) = in_flight.join_next().await {
        part??;
    }
    let took = started.elapsed();
    let cpu = fs::read_to_string("/proc/self/schedstat")?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{} {} {}", took.as_micros(), cpu.split(' ').next().unwrap_or_default(), kibibytes * 1024);
    Ok(())
}

async fn put(client: reqwest::Client, url: String, part: Bytes) -> Result<(), reqwest::Error> {
    client.put(url).body(part).send().await?.error_for_status()?;
    Ok(())
}
