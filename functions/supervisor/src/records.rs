//! The records of a session that has ended: transcript, summary, recording, job, outcome, alert.
//!
//! They are written while the session is `ending`. If the process dies, a successor writes all of them again.

use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::artifacts::{ArtifactError, JSON, JSON_LINES, Key};
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{HoldResult, SessionHold, SessionRecord};
use hooks_aws::outcomes::{Notice, Outcome};
use hooks_openai::{CallApi, Client, for_display};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::host::{Start, api_of};
use crate::session::Services;
use crate::transcript::joined;
use crate::usage::Usage;

/// Reasons that people are told of, and what each means.
const ALERTS: [(&str, &str); 6] = [
    (
        "dead",
        "OpenAI answered that the call is accepted, and there is no session: the caller hears nothing. The session's \
              configuration may be wrong in a way that OpenAI does not report.",
    ),
    ("not_connected", "There is no session, although the call may have been accepted."),
    ("maximum_duration", "The call reached its maximum duration, and was hung up."),
    ("cost_limit", "The call reached its cost limit, and was hung up."),
    ("working_hours", "The working hours ended, and the call was hung up."),
    ("idle", "Nobody said anything for too long, and the call was hung up."),
];

/// Reasons that are a limit of the policy: somebody may want to change it, nothing is broken.
const LIMITS: [&str; 4] = ["maximum_duration", "cost_limit", "working_hours", "idle"];

/// Number of attempts to get a recording, which is there a little after the session's end, and the pause between them.
const RECORDING_ATTEMPTS: u32 = 5;
const RECORDING_PAUSE: Duration = Duration::from_secs(2);

/// Time limit of a recording.
const RECORDING_TIME: Duration = Duration::from_mins(1);

/// Content type of a recording.
const WAV: &str = "audio/wav";

/// Writes everything, and marks the session as ended.
pub(crate) async fn write(services: &Services, client: &Client, hold: &SessionHold) -> Result<(), AwsError> {
    let Some(record) = services.ledger.session_of(hold).await? else { return Ok(()) };
    let reason = record.reason.clone().unwrap_or_default();
    let mut artifacts = Vec::new();
    let mut note = |stored: Result<Option<String>, ArtifactError>| match stored {
        Ok(key) => artifacts.extend(key),
        Err(error) => tracing::error!("{error}; the record lacks it"),
    };
    note(transcript(services, &record).await);
    if record.progress.get("stored").and_then(Value::as_bool) == Some(true) {
        note(recording(services, client, &record).await);
    }
    let summary = summary(&record, &reason);
    note(whole_summary(services, &record, &summary).await);
    let outcome = Outcome {
        object_id: Some(record.id.clone()),
        terminal: true,
        summary: summary.clone(),
        artifacts: artifacts.clone(),
        ..Outcome::new("ended", now_ms())
    };
    services.ledger.record_job_of("realtime", &outcome, &record.event).await?;
    let detail = json!({
        "id": format!("call.ended/{}/{}", record.api, record.id),
        "idempotency_key": format!("call.ended/{}/{}", record.api, record.id),
        "object_id": record.id,
        "status": reason,
        "summary": summary,
        "artifacts": artifacts,
        "bucket": services.artifacts.bucket(),
    });
    services.outcomes.publish("call.ended", &detail).await?;
    if let Some((_, meaning)) = ALERTS.iter().find(|(name, _)| *name == reason) {
        alert(services, &record, &reason, meaning).await;
    }
    if services.ledger.session_ended(hold).await? == HoldResult::Superseded {
        tracing::info!("a later generation writes the records as well");
    }
    Ok(())
}

/// Facts about the session, for the job, the outcome and the artifact.
fn summary(record: &SessionRecord, reason: &str) -> Map<String, Value> {
    let usage = Usage::read(&record.usage);
    let duration = record.ended_at.zip(record.active_at).map(|(end, begin)| (end - begin).max(0) / 1000);
    let mut summary = record.facts.clone();
    let entries = [
        ("kind", Some(json!(record.api))),
        ("reason", Some(json!(reason))),
        ("opened_at", Some(json!(record.opened_at / 1000))),
        ("active_at", record.active_at.map(|at| json!(at / 1000))),
        ("ended_at", record.ended_at.map(|at| json!(at / 1000))),
        ("duration_seconds", duration.map(|seconds| json!(seconds))),
        ("usage", Some(Value::Object(usage.numbers()))),
        ("cost_usd", api_of(&record.api).and_then(|api| usage.cost_usd(api)).map(|cost| json!(cost))),
        ("generations", Some(json!(record.generation))),
    ];
    summary.extend(entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    summary
}

async fn transcript(services: &Services, record: &SessionRecord) -> Result<Option<String>, ArtifactError> {
    let lines = match services.ledger.transcript((&record.api, &record.id), None, None).await {
        Ok((lines, _)) => lines,
        Err(error) => {
            tracing::error!("{error}; the record lacks it");
            return Ok(None);
        }
    };
    let Some(key) = artifact(record, "transcript.jsonl").filter(|_| !lines.is_empty()) else { return Ok(None) };
    services.artifacts.put(&key, JSON_LINES, joined(&lines)).await?;
    Ok(Some(key.into()))
}

/// The summary with the tools that were called and what people asked for.
async fn whole_summary(
    services: &Services,
    record: &SessionRecord,
    summary: &Map<String, Value>,
) -> Result<Option<String>, ArtifactError> {
    let Some(key) = artifact(record, "summary.json") else { return Ok(None) };
    let session = (record.api.as_str(), record.id.as_str());
    let mut whole = summary.clone();
    whole.insert("id".to_owned(), record.id.as_str().into());
    if let Ok(calls) = services.ledger.tool_calls(session).await {
        let tools = calls.iter().map(|call| {
            let is_success = call.result.as_ref().map(|result| result.is_success);
            json!({"call_id": call.call_id, "name": call.name, "at": call.claimed_at, "success": is_success,
                   "claims": call.claims, "given": call.given})
        });
        whole.insert("tools".to_owned(), tools.collect());
    }
    if let Ok(controls) = services.ledger.controls(session).await {
        let asked = controls.iter().map(|control| {
            let confirmed = control.answer.as_ref().map(|answer| answer.confirmed);
            json!({"kind": control.kind, "asked_by": control.asked_by, "at": control.asked_at, "confirmed": confirmed})
        });
        whole.insert("asked".to_owned(), asked.collect());
    }
    services.artifacts.put(&key, JSON, Value::Object(whole).to_string()).await?;
    Ok(Some(key.into()))
}

/// The recording that OpenAI has stored, copied piece by piece.
async fn recording(
    services: &Services,
    client: &Client,
    record: &SessionRecord,
) -> Result<Option<String>, ArtifactError> {
    let Some(key) = artifact(record, "recording.wav").filter(|_| record.api == CallApi::Live.as_str()) else {
        return Ok(None);
    };
    for attempt in 1..=RECORDING_ATTEMPTS {
        match client.live_recording(&record.id, Instant::now() + RECORDING_TIME).await {
            Ok(mut content) => {
                let mut upload = services.artifacts.upload(key.clone(), WAV);
                loop {
                    match content.chunk().await {
                        Ok(Some(chunk)) => upload.write(&chunk).await?,
                        Ok(None) => return upload.finish().await.map(|_| Some(key.into())),
                        Err(error) => {
                            tracing::warn!("{error}");
                            upload.abort().await;
                            break;
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(attempt, "{error}"),
        }
        if attempt < RECORDING_ATTEMPTS {
            sleep(RECORDING_PAUSE).await;
        }
    }
    tracing::error!("the session has no recording that can be read");
    Ok(None)
}

/// The key of an artifact of the session. An id that cannot be a part of a key has none.
fn artifact(record: &SessionRecord, name: &str) -> Option<Key> {
    Key::new(&["call", &record.id, name]).ok()
}

async fn alert(services: &Services, record: &SessionRecord, reason: &str, meaning: &str) {
    let fact = |name: &str| record.facts.get(name).and_then(Value::as_str).unwrap_or("unknown");
    let message = format!(
        "{meaning}\n\n\
         What   the {} call {}, from {} to {}\n\
         Why    {reason}\n\
         To do  docs/calls.md says for each reason what helps.\n\
         Where  `openai-webhooks events list --category realtime`\n",
        record.api,
        for_display(&record.id),
        fact("from"),
        fact("to"),
    );
    let severity = if LIMITS.contains(&reason) { "warning" } else { "critical" };
    tell(services, &record.id, reason, severity, &format!("A call has ended: {reason}"), &message).await;
}

/// Tells people that a caller could not be transferred.
pub(crate) async fn transfer_failed(services: &Services, start: &Start) {
    let id = for_display(&start.id);
    let message = format!(
        "A caller could not be transferred: the session had not ended in time. The caller is still with the model.\n\n\
         What   the {} call {id}\n\
         To do  Check the target and the fallback of the transfer in the policy.\n\
         Where  docs/calls.md\n",
        start.api,
    );
    tell(services, &start.id, "transfer_failed", "warning", "A caller could not be transferred", &message).await;
}

async fn tell(services: &Services, id: &str, reason: &str, severity: &str, subject: &str, message: &str) {
    let notice = Notice { category: "realtime", event_type: "call.ended", reason, id, severity, subject, message };
    if let Err(error) = services.alerts.tell(&notice).await {
        tracing::error!("{error}");
    }
}
