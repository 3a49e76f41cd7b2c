//! A job that replays events.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use hooks_aws::queue::{Message, QueueSender, Source};
use hooks_webhook::Event;

use super::{Job, JobReport, Jobs, Step, StepState};
use crate::dead_letters::DlqResult;
use crate::error::{OperateError, QUEUE_PERMISSIONS, Result, call_failed};
use crate::event_log::{Entry, EventLog};
use crate::parallel::each;

/// Number of events that are sent at a time.
const PARALLEL: usize = 8;

/// Number of events between two looks at whether to stop.
const CHUNK: usize = 32;

/// Number of events that were left out whose reason is kept.
const MAX_REASONS: usize = 20;

/// Where the events of each category go.
pub struct ReplayQueues {
    /// Sender of messages.
    pub sender: QueueSender,
    /// URLs of the queues by category.
    pub urls: BTreeMap<String, String>,
}

/// What became of a step.
enum Replayed {
    Sent,
    LeftOut(String, String),
}

/// Sends what is left of a replay, until `is_stopped`. `progress` gets the number of steps that are done, of all.
///
/// The body is the one that the ledger has now. An event that is gone from the ledger, or whose body is not stored, is left
/// out. After an error the job can be resumed.
pub async fn run_replay(
    jobs: &Jobs,
    log: &EventLog,
    queues: &ReplayQueues,
    job: &Job,
    is_stopped: impl Fn() -> bool,
    mut progress: impl FnMut(u64),
) -> Result<JobReport> {
    let steps = jobs.open_steps(&job.name).await?;
    let mut done = job.total.saturating_sub(steps.len() as u64);
    let (mut left_out, mut stopped) = (Vec::new(), false);
    let mut result = Ok(());
    for chunk in steps.chunks(CHUNK) {
        if is_stopped() {
            stopped = true;
            break;
        }
        let calls = chunk.iter().map(|step| replay(jobs, log, queues, job, step).boxed());
        let calls: Vec<_> = calls.collect();
        let note = |replayed| {
            done += 1;
            progress(done);
            if let Replayed::LeftOut(key, why) = replayed
                && left_out.len() < MAX_REASONS
            {
                left_out.push((key, why));
            }
        };
        result = each(calls, PARALLEL, note).await;
        if result.is_err() {
            break;
        }
    }
    let settled = jobs.settle(&job.name).await;
    result?;
    Ok(JobReport { job: settled?, is_stopped: stopped, left_out, letters: DlqResult::default() })
}

async fn replay(jobs: &Jobs, log: &EventLog, queues: &ReplayQueues, job: &Job, step: &Step) -> Result<Replayed> {
    let left_out = async |why: String| {
        jobs.end(&job.name, &step.key, StepState::LeftOut).await?;
        Ok(Replayed::LeftOut(step.key.clone(), why))
    };
    let Some(entry) = log.entry(&step.key).await? else {
        return left_out("the ledger does not have it any more".to_owned()).await;
    };
    let Some(body) = &entry.body else { return left_out(body_not_stored(&entry).message).await };
    let Some(queue) = queues.urls.get(&entry.category) else {
        return left_out(format!("the category {} has no queue", entry.category)).await;
    };
    let token = if step.is_begun {
        // The message may have been sent: a second copy is recognised by the same token.
        step.token.clone()
    } else {
        let key = Event::parse(body).ok().map(|event| event.idempotency_key().to_string());
        let record = match &key {
            Some(key) => log.idempotency_record(key).await?,
            None => None,
        };
        jobs.begin(&job.name, &step.key, record.as_ref().map(|record| record.token.as_str())).await?
    };
    let message = Message {
        body: body.clone(),
        webhook_id: entry.webhook_id.clone(),
        webhook_timestamp: entry.webhook_timestamp.clone(),
        endpoint: entry.endpoint.clone(),
        event_type: entry.event_type.clone(),
        received_at: entry.received_at.0.cast_unsigned(),
        source: Source::Replay,
        failure: None,
        seen_token: token,
        asked_by: job.asked_by.clone(),
    };
    let sent = queues.sender.send(queue, &message).await;
    sent.map_err(|error| call_failed(error.to_string(), Some(QUEUE_PERMISSIONS)))?;
    jobs.end(&job.name, &step.key, StepState::Sent).await?;
    Ok(Replayed::Sent)
}

/// The error for an event without a body.
#[must_use]
pub fn body_not_stored(entry: &Entry) -> OperateError {
    let bytes = entry.body_omitted.unwrap_or_default();
    OperateError::failed(format!("the body of {} has {bytes} bytes, too many for the ledger", entry.webhook_id))
        .hint("OpenAI's API still has the object, unless it was deleted there.")
}
