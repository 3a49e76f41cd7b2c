//! `events show`: one event with its history.

use clap::Args;
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
    effect: Option<(String, Map<String, Value>)>,
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
    shown["effect"] = around.effect.as_ref().map(|(key, effect)| json!({"key": key, "item": effect})).into();
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
        let effect = match event.map(|event| event.idempotency_key().to_string()) {
            Some(key) => log.effect_details(&key).await?.map(|effect| (key, effect)),
            None => None,
        };
        Ok(Self { job, effect })
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
        ("tries", Some(entry.attempts.to_string())),
        ("state", Some(state(entry))),
        ("error", entry.error.as_ref().map(|error| format!("{}: {}", error.reason, error.message))),
        ("duplicate of", entry.duplicate_of.as_ref().map(|(endpoint, id)| format!("{id} at the endpoint {endpoint}"))),
        ("outcome", said("status")),
        ("note", said("note")),
        ("summary", said("summary")),
    ];
    rows.extend(artifacts(entry, bucket).into_iter().map(|uri| ("artifact", Some(uri))));
    rows.extend([
        ("job now", around.job.as_ref().map(job)),
        ("effect", around.effect.as_ref().map(|(key, effect)| acted(key, effect))),
        ("body", Some(body)),
        ("forgotten", Some(format!("{} UTC", Moment::of_seconds(entry.expires_at).text()))),
    ]);
    let rows: Vec<_> = rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    pairs(&rows)
}

fn state(entry: &Entry) -> String {
    match (entry.handled_at, entry.state.as_str()) {
        (Some(handled_at), state) => {
            let took = duration((handled_at - entry.received_at) / 1000);
            format!("{state} since {} UTC, {took} after it was received", Moment(handled_at).text())
        }
        (None, state) if entry.lease_until > Moment::now().0 => {
            format!("{state}: somebody is on it until {} UTC at the latest", Moment(entry.lease_until).text())
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

fn acted(key: &str, effect: &Map<String, Value>) -> String {
    let event = effect.get("event").and_then(Value::as_str).unwrap_or_default();
    let event = event.strip_prefix("event#").unwrap_or(event).replacen('#', "/", 1);
    let has = if effect.get("state").and_then(Value::as_str) == Some("done") { "has acted" } else { "is to act" };
    format!("{event} {has} for {key}")
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
