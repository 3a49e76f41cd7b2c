//! What acts: replay of events, redrive and purge of dead letters. The command line and the pages do it by the same code.

use std::collections::HashSet;

use futures::FutureExt as _;
use hooks_aws::queue::{Message, QueueSender, Source};
use hooks_webhook::Category;

use crate::aws::{DlqAction, DlqResult, Entry, EventLog};
use crate::console::Console;
use crate::error::{Failure, QUEUE_PERMISSIONS, Result};
use crate::parallel::each;

/// Number of events that are sent at a time.
const PARALLEL: usize = 8;

/// An event that is to be handled again.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(crate) entry: Entry,
    /// The token of its idempotency record that was seen: the event is handled again only while the record has it, so a
    /// replay that is asked for twice is made once.
    pub(crate) seen_token: Option<String>,
}

/// The error for an event without a body.
#[must_use]
pub fn body_not_stored(entry: &Entry) -> Failure {
    let bytes = entry.body_omitted.unwrap_or_default();
    Failure::missing(format!("the body of {} has {bytes} bytes, too many for the ledger", entry.webhook_id))
        .hint("OpenAI's API still has the object, unless it was deleted there.")
}

/// Sends an event with this body to its queue again.
pub async fn send_replay(
    sender: &QueueSender,
    queue_url: &str,
    entry: &Entry,
    body: String,
    seen_token: Option<String>,
    asked_by: Option<String>,
) -> Result<()> {
    let message = Message {
        body,
        webhook_id: entry.webhook_id.clone(),
        webhook_timestamp: entry.webhook_timestamp.clone(),
        endpoint: entry.endpoint.clone(),
        event_type: entry.event_type.clone(),
        received_at: entry.received_at.0.cast_unsigned(),
        source: Source::Replay,
        failure: None,
        seen_token,
        asked_by,
    };
    let sent = sender.send(queue_url, &message).await;
    sent.map_err(|error| Failure::service(error.to_string()).hint(QUEUE_PERMISSIONS))
}

/// The event of a key, whole, with the token of its record.
pub(crate) async fn plan(log: &EventLog, key: &str) -> Result<Replay> {
    let entry = log.entry(key).await?.ok_or_else(|| Failure::missing(format!("the ledger has no event {key}")))?;
    if entry.body.is_none() {
        return Err(body_not_stored(&entry));
    }
    let record = match entry.idempotency_key() {
        Some(key) => log.idempotency_record(&key).await?,
        None => None,
    };
    Ok(Replay { seen_token: record.map(|record| record.token), entry })
}

/// The events of these keys, in their order.
pub(crate) async fn plans(log: &EventLog, keys: &[&str]) -> Vec<Result<Replay>> {
    let mut found = vec![None; keys.len()];
    let calls =
        keys.iter().enumerate().map(|(at, key)| async move { Ok::<_, Failure>((at, plan(log, key).await)) }.boxed());
    let calls: Vec<_> = calls.collect();
    let _ = each(calls, PARALLEL, |(at, plan)| found[at] = Some(plan)).await;
    found.into_iter().flatten().collect()
}

/// Replays events whose tokens were seen. Returns the number of those that were sent, and what kept the others.
pub(crate) async fn replay(console: &Console, replays: &[Replay], who: &str) -> (usize, Vec<Failure>) {
    let sender = QueueSender::new(&console.aws);
    let calls = replays.iter().map(|one| async { Ok::<_, Failure>(send(console, &sender, one, who).await) }.boxed());
    let calls: Vec<_> = calls.collect();
    let (mut sent, mut failures) = (0, Vec::new());
    let _ = each(calls, PARALLEL, |result| match result {
        Ok(()) => sent += 1,
        Err(failure) => failures.push(failure),
    })
    .await;
    (sent, failures)
}

async fn send(console: &Console, sender: &QueueSender, replay: &Replay, who: &str) -> Result<()> {
    let Replay { entry, seen_token } = replay;
    let category: Category = entry.category.parse().map_err(|_| Failure::unusable("its category has no queue"))?;
    let queue_url = console.queue(category)?.queue_url().to_owned();
    let body = entry.body.clone().ok_or_else(|| body_not_stored(entry))?;
    send_replay(sender, &queue_url, entry, body, seen_token.clone(), Some(who.to_owned())).await
}

/// Redrives or purges dead letters of a category.
pub(crate) async fn letters(
    console: &Console,
    action: DlqAction,
    category: Category,
    ids: &HashSet<String>,
) -> Result<DlqResult> {
    let mut result = DlqResult::default();
    console.queue(category)?.apply(action, ids, &mut result, |_| ()).await?;
    Ok(result)
}
