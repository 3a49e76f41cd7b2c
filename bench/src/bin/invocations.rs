//! Cost of a delivery in the verifier, compared with an echo function on the same runtime crates and with the verifier in
//! Python: time to the first response, CPU time per event, peak memory, size of the zip.
//!
//! ```text
//! cargo build --release -p verifier -p batch -p echo -p bench
//! target/release/invocations [--quick] [--python .venv/bin/python] [--compare OTHER_VERIFIER]
//! ```
//!
//! Each function runs under a stand-in for the Lambda Runtime API, with AWS endpoints on loopback that respond at once. The
//! functions take turns, so a busy machine slows all of them alike; the figures are medians over the turns. `--compare`
//! adds another build of the verifier, for decisions about its code.

use std::cmp::Ordering;
use std::env;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use hmac::{Hmac, KeyInit, Mac};
use hooks_testing_lambda::{Answer, Aws, Function, http_event};
use hooks_webhook::Category;
use sha2::Sha256;

const KEY: &[u8; 32] = b"a key of thirty-two bytes or so.";
const WEBHOOK_ID: &str = "wh_685c059ae39c8190af8c71ed1022a24d";

/// Body of an event as OpenAI sends it.
const BODY: &str = r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "batch.completed", "data": {"id": "batch_685c059ae3a481909bdc86819b066fb6"}}"#;

/// Number of starts, turns and events.
struct Effort {
    starts: usize,
    turns: usize,
    events_per_turn: usize,
    warm_up: usize,
}

const FULL: Effort = Effort { starts: 61, turns: 101, events_per_turn: 200, warm_up: 2_000 };
const QUICK: Effort = Effort { starts: 11, turns: 11, events_per_turn: 100, warm_up: 200 };

/// A measured function.
struct Subject {
    name: &'static str,
    command: Box<dyn Fn() -> Command>,
    /// The deployed file.
    binary: Option<PathBuf>,
    /// Divisor of the number of events, for a function that is an order of magnitude slower.
    share: usize,
    first_response: Vec<Duration>,
    start_cpu: Vec<Duration>,
    cpu_per_event: Vec<Duration>,
    peak_memory: u64,
}

impl Subject {
    fn of_binary(name: &'static str, binary: PathBuf) -> Self {
        let program = binary.clone();
        Self::of_command(name, Box::new(move || Command::new(&program)), Some(binary), 1)
    }

    fn of_command(
        name: &'static str,
        command: Box<dyn Fn() -> Command>,
        binary: Option<PathBuf>,
        share: usize,
    ) -> Self {
        Self {
            name,
            command,
            binary,
            share,
            first_response: Vec::new(),
            start_cpu: Vec::new(),
            cpu_per_event: Vec::new(),
            peak_memory: 0,
        }
    }

    fn start(&self, environment: &[(&str, &str)]) -> Function {
        Function::start_command((self.command)(), environment)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let effort = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let option =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));

    let binaries = env::current_exe()?.parent().ok_or("this program has no folder")?.to_owned();
    let mut subjects = Vec::new();
    for name in ["echo", "verifier"] {
        let binary = binaries.join(name);
        if !binary.exists() {
            return Err(format!("{} is missing: cargo build --release -p verifier -p echo", binary.display()).into());
        }
        subjects.push(Subject::of_binary(name, binary));
    }
    if let Some(other) = option("--compare") {
        subjects.push(Subject::of_binary("other verifier", other.into()));
    }
    let python = option("--python").ok_or_else(|| "no interpreter given with --python".to_owned());
    let absent =
        python.and_then(|python| python_subject(Path::new(python))).map(|subject| subjects.push(subject)).err();

    let aws = Aws::start();
    aws.set_secret("project", "AWSCURRENT", Some(&format!("whsec_{}", STANDARD.encode(KEY))), Duration::from_secs(9));
    aws.set_secret(
        "organization",
        "AWSCURRENT",
        Some(&format!("whsec_{}", STANDARD.encode(b"another key of many bytes"))),
        Duration::from_secs(9),
    );
    let url = aws.url();
    let queues = Category::ALL.map(|category| (category.to_string(), format!("{url}/000000000000/{category}").into()));
    let queues = serde_json::Value::from(serde_json::Map::from_iter(queues)).to_string();
    let environment = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("SIGNING_SECRETS", r#"{"project":"project","organization":"organization"}"#),
        ("QUEUE_URLS", &queues),
    ];

    measure_starts(&mut subjects, &environment, &effort)?;
    measure_events(&mut subjects, &environment, &effort)?;
    print(&subjects, absent.as_deref(), &effort)
}

/// The verifier in Python, if the interpreter and its packages are available.
fn python_subject(python: &Path) -> Result<Subject, String> {
    let python = python.canonicalize().map(|_| env::current_dir().unwrap_or_default().join(python));
    let python = python.map_err(|error| format!("cannot run the interpreter: {error}"))?;
    let check = Command::new(&python).args(["-c", "import awslambdaric, boto3, openai"]).output();
    let check = check.map_err(|error| format!("cannot run the interpreter: {error}"))?;
    if !check.status.success() {
        let problem = String::from_utf8_lossy(&check.stderr);
        return Err(problem.lines().last().unwrap_or("its packages cannot be imported").to_owned());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let command = move || {
        let mut command = Command::new(&python);
        command.args(["-m", "awslambdaric", "verifier.handler"]).current_dir(&folder);
        command
    };
    Ok(Subject::of_command("verifier in Python", Box::new(command), None, 10))
}

fn measure_starts(
    subjects: &mut [Subject],
    environment: &[(&str, &str)],
    effort: &Effort,
) -> Result<(), Box<dyn Error>> {
    for turn in 0..effort.starts {
        for subject in &mut *subjects {
            if turn % subject.share != 0 {
                continue;
            }
            let event = event()?;
            let function = subject.start(environment);
            let answer = function.invoke(&event);
            subject.first_response.push(function.age());
            subject.start_cpu.push(function.usage().cpu);
            accepted(subject.name, &answer)?;
        }
    }
    Ok(())
}

fn measure_events(
    subjects: &mut [Subject],
    environment: &[(&str, &str)],
    effort: &Effort,
) -> Result<(), Box<dyn Error>> {
    let functions: Vec<_> = subjects.iter().map(|subject| subject.start(environment)).collect();
    for (subject, function) in subjects.iter().zip(&functions) {
        let event = event()?;
        for _ in 0..effort.warm_up / subject.share {
            accepted(subject.name, &function.invoke(&event))?;
        }
    }
    for _ in 0..effort.turns {
        for (subject, function) in subjects.iter_mut().zip(&functions) {
            let (event, events) = (event()?, effort.events_per_turn / subject.share);
            let before = function.usage().cpu;
            for _ in 0..events {
                accepted(subject.name, &function.invoke(&event))?;
            }
            subject.cpu_per_event.push(function.usage().cpu.saturating_sub(before) / u32::try_from(events)?);
        }
    }
    for (subject, function) in subjects.iter_mut().zip(functions) {
        subject.peak_memory = function.usage().peak_memory;
    }
    Ok(())
}

/// A delivery signed with the current time.
fn event() -> Result<Vec<u8>, Box<dyn Error>> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    let signed = format!("{WEBHOOK_ID}.{timestamp}.{BODY}");
    let tag = Hmac::<Sha256>::new_from_slice(KEY)?.chain_update(signed).finalize().into_bytes();
    let signature = format!("v1,{}", STANDARD.encode(tag));
    let headers = [("webhook-id", WEBHOOK_ID), ("webhook-timestamp", &timestamp), ("webhook-signature", &signature)];
    Ok(http_event("/webhooks/project", &headers, BODY, false).to_string().into_bytes())
}

fn accepted(name: &str, answer: &Answer) -> Result<(), String> {
    match answer {
        Answer::Response(body)
            if body.windows(16).any(|window| window == b"\"statusCode\":200" || window == b"\"statusCode\": 20") =>
        {
            Ok(())
        }
        other => Err(format!("{name} does not accept the delivery: {other:?}")),
    }
}

fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> Result<T, &'static str> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    sorted.get(sorted.len() / 2).copied().ok_or("nothing was measured")
}

/// Ratio to echo: the median over the turns, each relative to echo's time in the same turn.
fn relative_to_echo(times: &[Duration], echo: &[Duration], share: usize) -> Result<f64, &'static str> {
    let same_turns = echo.iter().step_by(share);
    median(times.iter().zip(same_turns).map(|(time, echo)| time.as_secs_f64() / echo.as_secs_f64()))
}

/// Size in bytes of a zip with the file as its only member: the deflated member and the zip's records.
fn zip_size(binary: &Path) -> Result<u64, Box<dyn Error>> {
    const RECORDS: u64 = 30 + 46 + 22 + 2 * "bootstrap".len() as u64;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&fs::read(binary)?)?;
    Ok(encoder.finish()?.len() as u64 + RECORDS)
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn print(subjects: &[Subject], absent: Option<&str>, effort: &Effort) -> Result<(), Box<dyn Error>> {
    println!(
        "One delivery, medians of {} interleaved starts and {} x {} interleaved events",
        effort.starts, effort.turns, effort.events_per_turn
    );
    println!(
        "(targets, relative to echo: first response at most 2.5x, CPU time at most 1.8x; peak at most 8 MiB, zip at most 2.5 MB)"
    );
    println!();
    println!(
        "                        first response          CPU until then   CPU per event          peak memory  zip"
    );
    let echo = &subjects[0];
    for subject in subjects {
        let zip = match &subject.binary {
            Some(binary) => format!("{:.2} MB", zip_size(binary)? as f64 / 1e6),
            None => String::new(),
        };
        println!(
            "{:20} {:9.2} ms {:7.2}x {:11.2} ms {:12.1} us {:7.2}x {:9.1} MiB  {zip}",
            subject.name,
            median(subject.first_response.iter().copied())?.as_secs_f64() * 1e3,
            relative_to_echo(&subject.first_response, &echo.first_response, subject.share)?,
            median(subject.start_cpu.iter().copied())?.as_secs_f64() * 1e3,
            median(subject.cpu_per_event.iter().copied())?.as_secs_f64() * 1e6,
            relative_to_echo(&subject.cpu_per_event, &echo.cpu_per_event, 1)?,
            subject.peak_memory as f64 / f64::from(1 << 20),
        );
    }
    if let Some(reason) = absent {
        println!("verifier in Python   absent: {reason}");
    }
    Ok(())
}
