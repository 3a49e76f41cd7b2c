//! `events show`: one event with its history.

use clap::Args;
use hooks_aws::ledger::IdempotencyRecord;
use hooks_webhook::Event;
use serde_json::{Map, Value, json};

use super::{document, event_log, find};
use crate::aws::{Entry, EventLog};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::pairs;
use crate::when::{Moment, duration};

/// Show one event: how it came, what was done, and what its object is now
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Its webhook id (wh_...), or the id in its body (evt_...)
    id: String,
    /// Print its body, and nothing else; with --json, print it too
    #[arg(long)]
    body: bool,
}

/// What else the ledger knows of the event's object and of what the event means.
struct Surroundings {
    job: Option<Map<String, Value>>,
    record: Option<(String, IdempotencyRecord)>,
}

pub(crate) async fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let log = event_log(context).await?;
    let entry = find(context, &log, &args.id).await?;
    if args.body && !context.out.json {
        let body = entry.body.as_deref().ok_or_else(|| no_body(&entry))?;
        context.out.raw(body.as_bytes())?;
        return Ok(Exit::Yes);
    }
    let around = Surroundings::look_up(&log, &entry).await?;
    let bucket = context.output("BucketName").await?;
    let mut shown = document(&entry);
    shown["artifacts"] = artifacts(&entry, bucket).into();
    shown["job"] = around.job.clone().into();
    shown["history"] = entry.history.clone().into();
    shown["idempotency"] = around.record.as_ref().map(|(key, record)| idempotency(key, record)).into();
    shown["expires_at"] = Moment::of_seconds(entry.expires_at).json().into();
    if args.body {
        shown["body"] = entry.body.clone().into();
    }
    context.out.result(&shown, || text(&entry, &around, bucket))?;
    Ok(Exit::Yes)
}

/// Why there is no body.
pub(super) fn no_body(entry: &Entry) -> Failure {
    let bytes = entry.body_omitted.unwrap_or_default();
    Failure::no(format!("the body of {} has {bytes} bytes, too many for the ledger to keep", entry.webhook_id))
        .hint("OpenAI's API still has the object, unless it was deleted there.")
}

impl Surroundings {
    async fn look_up(log: &EventLog, entry: &Entry) -> Result<Self, Failure> {
        let job = match &entry.object_id {
            Some(object_id) => log.job_details(&entry.category, object_id).await?,
            None => None,
        };
        let event = entry.body.as_deref().and_then(|body| Event::parse(body).ok());
        let record = match event.map(|event| event.idempotency_key().to_string()) {
            Some(key) => log.record(&key).await?.map(|record| (key, record)),
            None => None,
        };
        Ok(Self { job, record })
    }
}

fn artifacts(entry: &Entry, bucket: &str) -> Vec<String> {
    let keys = entry.outcome.as_ref().and_then(|outcome| outcome.get("artifacts")?.as_array());
    keys.into_iter().flatten().filter_map(Value::as_str).map(|key| format!("s3://{bucket}/{key}")).collect()
}

fn text(entry: &Entry, around: &Surroundings, bucket: &str) -> String {
    let said = |name: &str| entry.outcome.as_ref()?.get(name).filter(|value| !is_empty(value)).map(plain);
    let body = match (&entry.body, entry.body_omitted) {
        (Some(body), _) => format!("{} bytes (--body prints it)", body.len()),
        (None, omitted) => format!("not kept: {} bytes", omitted.unwrap_or_default()),
    };
    let mut rows = vec![
        ("type", Some(entry.event_type.clone())),
        ("object", entry.object_id.clone()),
        ("event", Some(entry.event_id.clone())),
        ("webhook", Some(format!("{} at the endpoint {}", entry.webhook_id, entry.endpoint))),
        ("category", Some(entry.category.clone())),
        ("source", Some(entry.source.clone())),
        ("received", Some(at(entry.received_at))),
        ("claims", Some(entry.claims.to_string())),
        ("state", Some(state(entry, around))),
        (
            "error",
            entry
                .error
                .as_ref()
                .map(|error| format!("{}: {}", error.reason, error.message.as_deref().unwrap_or_default())),
        ),
        ("duplicate of", entry.duplicate_of.as_ref().map(|(endpoint, id)| format!("{id} at the endpoint {endpoint}"))),
        ("outcome", said("status")),
        ("note", said("note")),
        ("summary", said("summary")),
    ];
    rows.extend(entry.history.iter().map(|attempt| ("attempt", Some(shown_attempt(attempt)))));
    rows.extend(artifacts(entry, bucket).into_iter().map(|uri| ("artifact", Some(uri))));
    rows.extend([
        ("job now", around.job.as_ref().map(job)),
        ("idempotency", around.record.as_ref().map(|(key, record)| acted(key, record))),
        ("body", Some(body)),
        ("forgotten", Some(format!("{} UTC", Moment::of_seconds(entry.expires_at).text()))),
    ]);
    let rows: Vec<_> = rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    pairs(&rows)
}

fn state(entry: &Entry, around: &Surroundings) -> String {
    let lease_until = around.record.as_ref().map_or(0, |(_, record)| record.lease_until);
    match (entry.handled_at, entry.state.as_str()) {
        (Some(handled_at), state) => {
            let took = duration((handled_at - entry.received_at) / 1000);
            format!("{state} since {} UTC, {took} after it was received", Moment(handled_at).text())
        }
        (None, state) if lease_until > Moment::now().0 => {
            format!("{state}: an invocation works on it until {} UTC at the latest", Moment(lease_until).text())
        }
        (None, state) => format!("{state}: it waits for its next try, or is a dead letter if none comes"),
    }
}

fn job(job: &Map<String, Value>) -> String {
    let status = job.get("status").map(plain).unwrap_or_default();
    let final_or_not = if job.get("terminal").and_then(Value::as_i64) == Some(1) { "final" } else { "not final" };
    let as_of = job.get("as_of").and_then(Value::as_i64).map(|as_of| format!(", as of {}", at(as_of)));
    let error = job.get("error").map(|error| format!(": {}", plain(error))).unwrap_or_default();
    format!("{status} ({final_or_not}{}){error}", as_of.unwrap_or_default())
}

/// The idempotency record, for programs.
fn idempotency(key: &str, record: &IdempotencyRecord) -> Value {
    json!({
        "key": key,
        "status": record.status.as_str(),
        "event": record.event.replacen('#', "/", 1),
        "claims": record.claims,
        "claimed_at": Moment(record.claimed_at).json(),
        "ended_at": record.ended_at.map(|at| Moment(at).json()),
        "lease_until": Some(record.lease_until).filter(|until| *until > 0).map(|until| Moment(until).json()),
    })
}

fn acted(key: &str, record: &IdempotencyRecord) -> String {
    format!("{key} is {}, by {}", record.status.as_str(), record.event.replacen('#', "/", 1))
}

/// An attempt in a line: `2026-11-21 03:15:15 UTC openai: retry (OpenAI is busy)`.
fn shown_attempt(attempt: &Value) -> String {
    let said = |name: &str| attempt.get(name).filter(|value| !value.is_null()).map(plain);
    let begun = attempt.get("begun").and_then(Value::as_i64).map(|at| Moment(at).text()).unwrap_or_default();
    let who = said("asked_by").map(|who| format!(" by {who}")).unwrap_or_default();
    let why = said("message").map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{begun} UTC {}{who}: {}{why}", said("source").unwrap_or_default(), said("result").unwrap_or_default())
}

fn at(millis: i64) -> String {
    let moment = Moment(millis);
    format!("{} UTC, {}", moment.text(), moment.since())
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
