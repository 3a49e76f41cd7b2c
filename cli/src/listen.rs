//! `listen`: the events of a stack as they come, shown, or delivered to a program on this machine.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hooks_aws::clock::now_ms;
use hooks_operate::event_log::{Entry, EventFilter, EventLog, Field};
use hooks_operate::parallel::each;
use hooks_operate::tail::{Tail, TailOf};
use hooks_webhook::{Category, Secret};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::event_type::EventTypePattern;
use crate::events::result;
use crate::input;
use crate::output::{or_dash, printable};
use crate::send::{Delivery, Sender};
use crate::timestamp::{self, Timestamp};
use crate::values::category;

/// Pause between two polls.
const INTERVAL: Duration = Duration::from_millis(250);

/// Number of deliveries at a time. A program that hangs holds up the next ones only after that many.
const PARALLEL: usize = 8;

/// Maximum number of polls in a row that may fail.
const MAX_FAILURES: u32 = 20;

/// Length of a new secret's key, in bytes, as OpenAI makes them.
const KEY_BYTES: usize = 32;

/// Show the events of the stack as they come, or deliver them to a program on this machine
///
/// Reads only: the ledger is asked four times a second, and nothing in the stack changes. An event is there when its first
/// attempt has ended. Each is delivered once, whatever the answer is, with its body as it was, signed now for a secret that
/// is printed.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks listen --forward-to http://localhost:3000/webhook --type 'batch.*'")]
pub(crate) struct ListenArgs {
    /// URL to deliver to
    #[arg(long, value_name = "URL", value_parser = input::url)]
    forward_to: Option<Url>,
    /// Event type, such as batch.completed, or a prefix, such as `batch.*`
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<EventTypePattern>,
    /// Category, such as fine-tuning
    #[arg(long, value_name = "CATEGORY", value_parser = category())]
    category: Option<Category>,
    /// Begin with what came since then: a span (30m, 24h), a date or a time in UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    since: Option<Timestamp>,
    /// What became of the events, instead of the events
    #[arg(long)]
    outcomes: bool,
    /// Sign with the secret in this file (`-` for stdin) instead of a new one
    #[arg(long, value_name = "FILE", requires = "forward_to")]
    secret_file: Option<PathBuf>,
}

/// Where events are delivered.
struct Target {
    sender: Sender,
    secret: Secret,
}

pub(crate) async fn run(args: &ListenArgs, context: &Context) -> Result {
    // Before the secret is printed: what is sent from then on is told, however long the look at the stack takes.
    let since = args.since.map_or_else(now_ms, |since| since.0);
    let target = args.forward_to.clone().map(|url| Target::new(url, args, context)).transpose()?;
    let log = context.event_log().await?;
    let include = [
        (Field::Category, args.category.map(|category| category.as_str().to_owned())),
        (Field::Type, args.event_type.as_ref().map(|pattern| pattern.as_str().to_owned())),
    ];
    let include = include.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
    let of = if args.outcomes { TailOf::Outcomes } else { TailOf::Events };
    let tail = Tail::new(log.clone(), EventFilter { include, ..EventFilter::default() }, of, since);
    if !context.out.json {
        let what = if args.outcomes { "outcomes" } else { "events" };
        context.out.note(&format!("Listening for {what} of {}. Ctrl-C ends it.", context.options.stack));
    }
    tokio::select! {
        result = listen(tail, of, target.as_ref(), &log, context) => result,
        _ = ctrl_c() => Ok(Exit::Success),
    }
}

async fn listen(mut tail: Tail, of: TailOf, target: Option<&Target>, log: &EventLog, context: &Context) -> Result {
    let mut failures = 0;
    loop {
        match tail.poll().await {
            Ok(new) => {
                failures = 0;
                let tell = new.iter().map(|entry| tell(entry, of, target, log, context));
                let parallel = if target.is_some() { PARALLEL } else { 1 };
                each(tell, parallel, drop).await?;
            }
            Err(error) => {
                failures += 1;
                if failures >= MAX_FAILURES || error.kind != hooks_operate::ErrorKind::Service {
                    return Err(error.into());
                }
                if failures == 1 && !context.out.json {
                    context.out.note(&format!("{}; trying again.", error.message));
                }
            }
        }
        sleep(INTERVAL).await;
    }
}

/// Shows an event, and delivers it if there is somebody to deliver to.
async fn tell(entry: &Entry, of: TailOf, target: Option<&Target>, log: &EventLog, context: &Context) -> Result<()> {
    let answer = match target {
        None => None,
        Some(target) => Some(target.deliver(entry, of, log, context).await?),
    };
    if context.out.json {
        let mut line = json!(entry);
        if let Some(answer) = &answer {
            line["delivery"] = match answer {
                Ok(delivery) => json!(delivery),
                Err(why) => json!({"error": why}),
            };
        }
        context.out.line(&line)?;
        return Ok(());
    }
    let at = if of == TailOf::Outcomes { entry.handled_at.unwrap_or(entry.received_at) } else { entry.received_at };
    let end = match (of, entry.state.as_str()) {
        (TailOf::Outcomes, state) => format!("  {state}: {}", result(entry)),
        (TailOf::Events, _) => String::new(),
    };
    let answer = match answer {
        None => String::new(),
        Some(Ok(Delivery { status, milliseconds, .. })) => format!("  -> {status} in {milliseconds} ms"),
        Some(Err(why)) => format!("  -> {why}"),
    };
    let object = or_dash(entry.object_id.as_deref());
    let line = format!("{}  {}  {object}  {}{end}{answer}", at.text(), entry.event_type, entry.webhook_id);
    context.out.raw(format!("{}\n", printable(&line)).as_bytes())?;
    Ok(())
}

impl Target {
    fn new(url: Url, args: &ListenArgs, context: &Context) -> Result<Self> {
        let sender = Sender::new(url)?;
        let text = match &args.secret_file {
            Some(file) => input::secret(file)?,
            None => new_secret()?,
        };
        let secret = Secret::parse(&text).map_err(|error| CliError::usage(format!("the secret: {error}")))?;
        if args.secret_file.is_none() {
            if context.out.json {
                context.out.line(&json!({"secret": text}))?;
            } else {
                context.out.note(&format!("Signing secret of this run: {text}"));
            }
        }
        Ok(Self { sender, secret })
    }

    /// The answer, or why there is none.
    async fn deliver(
        &self,
        entry: &Entry,
        of: TailOf,
        log: &EventLog,
        context: &Context,
    ) -> Result<std::result::Result<Delivery, String>> {
        let Some(whole) = log.entry(&entry.key()).await? else {
            return Ok(Err("not delivered: the ledger does not have it any more".to_owned()));
        };
        let body = match of {
            TailOf::Events => match &whole.body {
                Some(body) => body.clone(),
                None => return Ok(Err("not delivered: its body was too large to be kept".to_owned())),
            },
            TailOf::Outcomes => outcome(&whole, log, context).await?.to_string(),
        };
        let delivered = self.sender.deliver(&self.secret, Some(&entry.webhook_id), body.into_bytes()).await;
        Ok(delivered.map_err(|error| error.message))
    }
}

/// What the bus says of an event: the same fields as docs/outcomes. Of a failed event the bus says nothing; here it has the
/// status `failed`, and `error`.
async fn outcome(entry: &Entry, log: &EventLog, context: &Context) -> Result<Value> {
    let of_event = entry.outcome.clone().unwrap_or_default();
    let has_failed = entry.state == "failed";
    let source = entry.history.last().and_then(|attempt| attempt.get("source")?.as_str()).unwrap_or(&entry.source);
    let mut detail = json!({
        "id": entry.event_id,
        "idempotency_key": entry.idempotency_key(),
        "object_id": entry.object_id,
        "endpoint": entry.endpoint,
        "source": source,
        "status": if has_failed { json!("failed") } else { of_event.get("status").cloned().unwrap_or(Value::Null) },
        "artifacts": of_event.get("artifacts").cloned().unwrap_or_else(|| json!([])),
        "bucket": context.output("BucketName").await?,
        "summary": of_event.get("summary").cloned().unwrap_or_else(|| json!({})),
    });
    if let Some(note) = of_event.get("note") {
        detail["note"] = note.clone();
    }
    if has_failed {
        detail["error"] = json!(entry.error);
    }
    if let Some(object_id) = &entry.object_id
        && let Some(job) = log.job_record(&entry.category, object_id).await?
        && let Some(carried) =
            job.get("context").and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok())
    {
        detail["context"] = carried;
    }
    Ok(json!({"source": "openai.webhooks", "detail-type": entry.event_type, "detail": detail}))
}

/// A new signing secret in OpenAI's form.
fn new_secret() -> Result<String> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)
        .map_err(|error| CliError::failed(format!("this machine gives no random numbers: {error}")))?;
    Ok(format!("whsec_{}", STANDARD.encode(key)))
}
