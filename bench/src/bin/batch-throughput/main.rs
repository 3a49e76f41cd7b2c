//! Cost of storing a batch's results: the `batch` function with a 1 GiB output file, compared with a program that only
//! copies the file between the same two servers.
//!
//! ```text
//! cargo build --release -p verifier -p batch -p echo -p bench
//! target/release/batch-throughput [--quick]
//! ```
//!
//! The deployed function runs under a stand-in for the Lambda Runtime API with all its work: it claims the event, signs its
//! requests, counts lines and tokens, and has S3 check every part. The copy does the unavoidable: it reads the file and
//! sends it in parts of the same size, two at a time. Both use plain HTTP to servers in this process that discard the
//! parts, so only the function and the kernel take time. They take turns; the figures are medians, and the highest peak.

mod copy;
mod files;
mod servers;

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use files::File;
use hooks_testing_lambda::{Answer, Function};
use serde_json::{Value, json};
use servers::{Aws, OpenAi};

/// Time limit of a run on the slowest machine.
const LIMIT: Duration = Duration::from_mins(10);

/// Maximum memory of the function in bytes.
const PEAK_TARGET: u64 = 64 << 20;

/// Cost of one run.
struct Run {
    took: Duration,
    cpu: Duration,
    peak_memory: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [copy, source, target] = arguments.as_slice()
        && copy == "copy"
    {
        return copy::run(source, target);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (length, turns) = if quick { (128 << 20, 3) } else { (1 << 30, 5) };

    let program = env::current_exe()?;
    let function = program.parent().ok_or("this program has no folder")?.join("batch");
    if !function.exists() {
        return Err(format!("{} is missing: cargo build --release -p batch", function.display()).into());
    }
    println!("{:24} {:>8} {:>10} {:>10} {:>12} {:>10}", "", "MiB", "MB/s", "best", "CPU s/GB", "peak MiB");
    let mut within = true;
    for file in [File::answers(length), File::embeddings(length)] {
        let aws = Aws::start();
        let openai = OpenAi::start(file.clone());
        let (mut stored, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            copied.push(copy_once(&program, &openai, &aws)?);
            aws.expect_stored(file.length())?;
            stored.push(store_once(&function, &openai, &aws)?);
            aws.expect_stored(file.length())?;
            let counted = aws.lines_counted().ok_or("the function published no outcome")?;
            if counted != file.lines() {
                return Err(format!("the function counted {counted} lines of {}", file.lines()).into());
            }
        }
        print(&format!("{}: batch", file.name()), &file, &mut stored);
        print(&format!("{}: plain copy", file.name()), &file, &mut copied);
        within &= stored.iter().all(|run| run.peak_memory <= PEAK_TARGET);
    }
    println!("\nThe function's peak is {} 64 MiB.", if within { "within" } else { "above" });
    if within { Ok(()) } else { Err("the function exceeds its memory limit".into()) }
}

fn print(name: &str, file: &File, runs: &mut [Run]) {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let megabytes = file.length() as f64 / 1e6;
    runs.sort_by_key(|run| run.took);
    let (best, median) = (&runs[0], &runs[runs.len() / 2]);
    let peak = runs.iter().map(|run| run.peak_memory).max().unwrap_or_default();
    println!(
        "{name:24} {:>8} {:>10.0} {:>10.0} {:>12.2} {:>10.1}",
        file.length() >> 20,
        megabytes / median.took.as_secs_f64(),
        megabytes / best.took.as_secs_f64(),
        median.cpu.as_secs_f64() / megabytes * 1e3,
        f64::from(u32::try_from(peak >> 10).unwrap_or(u32::MAX)) / 1024.0,
    );
}

/// Stores the file with a new process of the function.
fn store_once(binary: &Path, openai: &OpenAi, aws: &Aws) -> Result<Run, Box<dyn Error>> {
    let (aws_url, openai_url) = (aws.url(), format!("{}/v1", openai.url()));
    let queue = format!("{aws_url}/000000000000/batch");
    let function = Function::start(
        binary,
        &[
            ("AWS_ENDPOINT_URL", &aws_url),
            ("TABLE_NAME", "ledger"),
            ("BUCKET_NAME", "artifacts"),
            ("BUS_NAME", "outcomes"),
            ("ALERTS_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:alerts"),
            ("QUEUE_URL", &queue),
            ("DEAD_LETTER_QUEUE_URL", &queue),
            ("MAX_RECEIVES", "12"),
            ("OPENAI_API_KEY_SECRET", "openai-api-key"),
            ("OPENAI_BASE_URL", &openai_url),
            ("ALERT_FAILED_SHARE", "0.1"),
        ],
    );
    let event = sqs_event().to_string();
    let started = Instant::now();
    let answer = function.invoke_within(event.as_bytes(), LIMIT);
    let took = started.elapsed();
    let usage = function.usage();
    let Answer::Response(body) = answer else { return Err(format!("the function failed: {answer:?}").into()) };
    let answer: Value = serde_json::from_slice(&body)?;
    if answer["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty()) {
        return Err(format!("the function did not handle the event; it wrote {:#?}", function.stop()).into());
    }
    Ok(Run { took, cpu: usage.cpu, peak_memory: usage.peak_memory })
}

/// Copies the file with a new process of this program.
fn copy_once(program: &Path, openai: &OpenAi, aws: &Aws) -> Result<Run, Box<dyn Error>> {
    let source = format!("{}/v1/files/{}/content", openai.url(), servers::OUTPUT_FILE);
    let target = format!("{}/artifacts/copy", aws.url());
    let output = Command::new(program).args(["copy", &source, &target]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [micros, cpu_nanos, peak_memory] = numbers[..] else {
        return Err(format!("the copy failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    };
    Ok(Run { took: Duration::from_micros(micros), cpu: Duration::from_nanos(cpu_nanos), peak_memory })
}

/// The SQS event of a `batch.completed` delivery.
fn sqs_event() -> Value {
    let body = json!({"id": "evt_1", "object": "event", "type": "batch.completed", "created_at": 1_795_230_915,
        "data": {"id": servers::BATCH}});
    let attribute = |value: &str| {
        json!({"stringValue": value, "dataType": "String",
        "stringListValues": [], "binaryListValues": []})
    };
    json!({"Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body.to_string(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1795230916000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795230916001",
        },
        "messageAttributes": {
            "webhook-id": attribute("wh_1"),
            "webhook-timestamp": attribute("1795230915"),
            "endpoint": attribute("project"),
            "event-type": attribute("batch.completed"),
            "received-at": attribute("1795230916000"),
            "source": attribute("openai"),
        },
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:batch",
        "awsRegion": "us-east-1",
    }]})
}
