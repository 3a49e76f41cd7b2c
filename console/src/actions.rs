//! What acts: replay and redrive as named jobs, and purge. The command line does it by the same code.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use hooks_aws::queue::QueueSender;
use hooks_operate::dead_letters::{DlqAction, DlqResult};
use hooks_operate::event_log::{Entry, EventLog};
use hooks_operate::job::{
    Job, JobKind, JobReport, Jobs, NewJob, ReplayQueues, body_not_stored, run_redrive, run_replay,
};
use hooks_operate::parallel::each;
use hooks_webhook::Category;
use serde_json::Value;

use crate::console::Console;
use crate::{Failure, Result};

/// Number of events that are read at a time.
const PARALLEL: usize = 8;

/// Time for which a request works on a job. The job's page goes on with what is left.
const WORK: Duration = Duration::from_secs(2);

/// The event of a key, if it can be replayed.
async fn plan(log: &EventLog, key: &str) -> Result<Entry> {
    let entry = log.entry(key).await?.ok_or_else(|| Failure::failed(format!("the ledger has no event {key}")))?;
    if entry.body.is_none() { Err(body_not_stored(&entry)) } else { Ok(entry) }
}

/// The events of these keys, in their order, and why some cannot be replayed.
pub(crate) async fn plans(log: &EventLog, keys: &[&str]) -> (Vec<Entry>, Vec<Failure>) {
    let mut found = vec![None; keys.len()];
    let calls =
        keys.iter().enumerate().map(|(at, key)| async move { Ok::<_, Failure>((at, plan(log, key).await)) }.boxed());
    let calls: Vec<_> = calls.collect();
    let _ = each(calls, PARALLEL, |(at, plan)| found[at] = Some(plan)).await;
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().flatten().partition(Result::is_ok);
    (good.into_iter().flatten().collect(), bad.into_iter().filter_map(Result::err).collect())
}

/// Begins a job and works on it.
pub(crate) async fn begin(
    console: &Console,
    (kind, name): (JobKind, &str),
    filter: Value,
    steps: Vec<String>,
    who: &str,
) -> Result<JobReport> {
    let new = NewJob { name: name.to_owned(), kind, filter, asked_by: Some(who.to_owned()), steps };
    let job = Jobs::new(console.ledger.clone()).create(&new).await?;
    work(console, &job).await
}

/// Works on what is left of a job, for some seconds.
pub(crate) async fn work(console: &Console, job: &Job) -> Result<JobReport> {
    let (jobs, until) = (Jobs::new(console.ledger.clone()), Instant::now() + WORK);
    let is_stopped = move || Instant::now() >= until;
    let categories = Category::ALL.into_iter();
    match job.kind {
        JobKind::Replay => {
            let urls = categories.map(|one| Ok((one.to_string(), console.queue_url(one)?.to_owned())));
            let urls = urls.collect::<Result<BTreeMap<_, _>>>()?;
            let queues = ReplayQueues { sender: QueueSender::new(&console.aws), urls };
            run_replay(&jobs, &console.log, &queues, job, is_stopped, |_| ()).await
        }
        JobKind::Redrive => {
            let queues = categories.map(|one| Ok((one, console.queue(one)?)));
            let queues = queues.collect::<Result<BTreeMap<_, _>>>()?;
            run_redrive(&jobs, &queues, job, is_stopped, |_| ()).await
        }
    }
}

/// Deletes dead letters of a category.
pub(crate) async fn purge(console: &Console, category: Category, ids: &HashSet<String>) -> Result<DlqResult> {
    let mut result = DlqResult::default();
    console.queue(category)?.apply(DlqAction::Purge, ids, &mut result, || false, |_: &[String]| ()).await?;
    Ok(result)
}
