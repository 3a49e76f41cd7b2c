//! `events show`: one event with its history, as a timeline.

mod timeline;

use clap::Args;
use hooks_aws::ledger::IdempotencyRecord;
use hooks_operate::job::body_not_stored;
use serde_json::{Map, Value, json};

use self::timeline::Story;
use super::find;
use crate::aws::Entry;
use crate::context::Context;
use crate::error::Result;
use crate::output::key_values;
use crate::timestamp::{Timestamp, duration};

/// Show one event: how it was received and handled, what people were told, the present state of its object, and what can be
/// done
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks events show wh_685c")]
pub(crate) struct ShowArgs {
    /// Webhook id (wh_...) or event id (evt_...), or its beginning
    id: String,
    /// Print only the body; with --json, include it
    #[arg(long)]
    body: bool,
}

pub(crate) async fn run(args: &ShowArgs, context: &Context) -> Result {
    let log = context.event_log().await?;
    let entry = find(context, &log, &args.id).await?;
    if args.body && !context.out.json {
        let body = entry.body.as_deref().ok_or_else(|| body_not_stored(&entry))?;
        return context.out.json_text(body);
    }
    let job = match &entry.object_id {
        Some(object_id) => log.job_record(&entry.category, object_id).await?,
        None => None,
    };
    let key = entry.idempotency_key();
    let record = match &key {
        Some(key) => log.idempotency_record(key).await?,
        None => None,
    };
    let record = key.zip(record);
    let bucket = context.output("BucketName").await?;
    let story = Story::read(&entry, job.as_ref(), record.as_ref().map(|(_, record)| record), context).await?;
    let mut shown = json!(entry);
    shown["artifacts"] = artifacts(&entry, bucket).into();
    shown["job"] = job.clone().into();
    shown["history"] = entry.history.clone().into();
    shown["timeline"] = json!(story.moments());
    shown["dead_letter"] = json!(story.dead_letter);
    shown["alerts"] = json!(story.alerts);
    shown["commands"] = json!(story.commands());
    shown["idempotency"] = record.as_ref().map(idempotency).into();
    shown["expires_at"] = entry.expires_at.json().into();
    if args.body {
        shown["body"] = entry.body.clone().into();
    }
    context.out.result(&shown, || text(&entry, job.as_ref(), record.as_ref(), bucket) + &story.text())
}

/// Idempotency key and record.
type Keyed = (String, IdempotencyRecord);

fn artifacts(entry: &Entry, bucket: &str) -> Vec<String> {
    let keys = entry.outcome.as_ref().and_then(|outcome| outcome.get("artifacts")?.as_array());
    keys.into_iter().flatten().filter_map(Value::as_str).map(|key| format!("s3://{bucket}/{key}")).collect()
}

fn text(entry: &Entry, job: Option<&Map<String, Value>>, record: Option<&Keyed>, bucket: &str) -> String {
    let of_outcome = |name: &str| entry.outcome.as_ref()?.get(name).filter(|value| !is_empty(value)).map(plain);
    let body = match (&entry.body, entry.body_omitted) {
        (Some(body), _) => format!("{} bytes (--body prints it)", body.len()),
        (None, omitted) => format!("not stored: {} bytes", omitted.unwrap_or_default()),
    };
    let at_endpoint = |id: &str, endpoint: &str| format!("{id} at the endpoint {endpoint}");
    let mut rows = vec![
        ("type", Some(entry.event_type.clone())),
        ("object", entry.object_id.clone()),
        ("event", Some(entry.event_id.clone())),
        ("webhook", Some(at_endpoint(&entry.webhook_id, &entry.endpoint))),
        ("category", Some(entry.category.clone())),
        ("source", Some(entry.source.clone())),
        ("received", Some(utc(entry.received_at))),
        ("attempts", Some(entry.attempts.to_string())),
        ("state", Some(state(entry, record))),
        (
            "error",
            entry
                .error
                .as_ref()
                .map(|error| format!("{}: {}", error.reason, error.message.as_deref().unwrap_or_default())),
        ),
        ("duplicate of", entry.duplicate_of.as_ref().map(|key| at_endpoint(&key.webhook_id, &key.endpoint))),
        ("outcome", of_outcome("status")),
        ("note", of_outcome("note")),
        ("summary", of_outcome("summary")),
    ];
    rows.extend(artifacts(entry, bucket).into_iter().map(|uri| ("artifact", Some(uri))));
    rows.extend([
        ("job now", job.map(job_line)),
        ("handled by", record.map(handled_by)),
        ("body", Some(body)),
        ("expires", Some(format!("{} UTC", entry.expires_at.text()))),
    ]);
    let rows: Vec<_> = rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    key_values(&rows)
}

fn state(entry: &Entry, record: Option<&Keyed>) -> String {
    let lease_until = record.map_or(0, |(_, record)| record.lease_until);
    match (entry.handled_at, entry.state.as_str()) {
        (Some(handled_at), state) => {
            let took = duration((handled_at.0 - entry.received_at.0) / 1000);
            format!("{state} since {} UTC, {took} after receipt", handled_at.text())
        }
        (None, state) if lease_until > Timestamp::now().0 => {
            format!("{state}: being handled, until {} UTC at the latest", Timestamp(lease_until).text())
        }
        (None, state) => format!("{state}: waits for its next attempt, or is a dead letter"),
    }
}

fn job_line(job: &Map<String, Value>) -> String {
    let status = job.get("status").map(plain).unwrap_or_default();
    let finality = if job.get("terminal").and_then(Value::as_i64) == Some(1) { "final" } else { "not final" };
    let as_of = job.get("as_of").and_then(Value::as_i64).map(|as_of| format!(", as of {}", utc(Timestamp(as_of))));
    let error = job.get("error").map(|error| format!(": {}", plain(error))).unwrap_or_default();
    format!("{status} ({finality}{}){error}", as_of.unwrap_or_default())
}

/// The idempotency record for programs.
fn idempotency((key, record): &Keyed) -> Value {
    let lease_until = Some(record.lease_until).filter(|until| *until > 0);
    json!({
        "key": key,
        "status": record.status.as_str(),
        "event": record.event.replacen('#', "/", 1),
        "claims": record.claims,
        "claimed_at": Timestamp(record.claimed_at).json(),
        "ended_at": record.ended_at.map(|at| Timestamp(at).json()),
        "lease_until": lease_until.map(|until| Timestamp(until).json()),
    })
}

fn handled_by((key, record): &Keyed) -> String {
    format!("{}, {} (idempotency key {key})", record.event.replacen('#', "/", 1), record.status.as_str())
}

fn utc(at: Timestamp) -> String {
    format!("{} UTC, {}", at.text(), at.ago())
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
