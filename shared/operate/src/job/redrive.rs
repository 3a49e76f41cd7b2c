//! A job that redrives dead letters.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hooks_webhook::Category;
use serde::{Deserialize, Serialize};

use super::{Job, JobReport, Jobs, StepState};
use crate::dead_letters::{DeadLetterQueue, DlqAction, DlqResult};
use crate::error::Result;
use crate::parallel::each;

/// Number of steps that are noted at a time.
const PARALLEL: usize = 8;

/// Which dead letters a redrive was asked for, as it is kept with its job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveFilter {
    /// Category.
    pub category: Option<String>,
    /// Failure reason; `none` for messages without one.
    pub reason: Option<String>,
    /// Event type, or a prefix with `*` at its end.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// Number of the oldest that are taken.
    pub limit: Option<u32>,
    /// Latest time at which they became dead letters, in milliseconds since the Unix epoch.
    pub until: i64,
}

/// Redrives what is left of a job, one category after the other, until `is_stopped`. `progress` gets the number of letters
/// that are done, of all.
///
/// A letter that is not in its queue any more counts as left out: somebody redrove or purged it, or it expired. After an
/// error the job can be resumed.
pub async fn run_redrive(
    jobs: &Jobs,
    queues: &BTreeMap<Category, DeadLetterQueue>,
    job: &Job,
    is_stopped: impl Fn() -> bool,
    mut progress: impl FnMut(u64),
) -> Result<JobReport> {
    let steps = jobs.open_steps(&job.name).await?;
    let mut done = job.total.saturating_sub(steps.len() as u64);
    let mut by_category = BTreeMap::<&str, HashMap<&str, &str>>::new();
    for step in &steps {
        if let Some((category, id)) = step.key.split_once('/') {
            by_category.entry(category).or_default().insert(id, &step.key);
        }
    }
    let mut letters = DlqResult::default();
    let (mut left_out, mut stopped, mut result) = (Vec::new(), false, Ok(()));
    for (category, keys) in by_category {
        if is_stopped() {
            stopped = true;
            break;
        }
        let queue = category.parse::<Category>().ok().and_then(|category| queues.get(&category));
        let Some(queue) = queue else { continue };
        let ids: HashSet<String> = keys.keys().map(|id| (*id).to_owned()).collect();
        let mut moved = Vec::new();
        let note = |batch: &[String]| {
            done += batch.len() as u64;
            progress(done);
            moved.extend(batch.iter().cloned());
        };
        let applied = queue.apply(DlqAction::Redrive, &ids, &mut letters, &is_stopped, note).await;
        let sent = moved.iter().filter_map(|id| keys.get(id.as_str()).copied());
        let noted = each(ends(jobs, job, sent, StepState::Sent), PARALLEL, drop).await;
        // What was not found is left out only if all of the queue was looked at: SQS refused none of it, and no other reader
        // has received some.
        let looked = applied.is_ok() && !is_stopped() && letters.refused == 0;
        if looked && queue.depth().await?.in_flight == 0 {
            let moved: HashSet<&str> = moved.iter().map(String::as_str).collect();
            let gone: Vec<_> = keys.iter().filter(|(id, _)| !moved.contains(*id)).map(|(_, key)| *key).collect();
            let why = "it is not in its dead-letter queue any more";
            left_out.extend(gone.iter().take(20).map(|key| ((*key).to_owned(), why.to_owned())));
            result = each(ends(jobs, job, gone.into_iter(), StepState::LeftOut), PARALLEL, drop).await;
        }
        result = applied.and(noted).and(result);
        if result.is_err() {
            break;
        }
        stopped = is_stopped();
    }
    let settled = jobs.settle(&job.name).await;
    result?;
    let job = settled?;
    Ok(JobReport { is_stopped: stopped && !job.is_done, job, left_out, letters })
}

/// The calls that end these steps.
fn ends<'a>(
    jobs: &'a Jobs,
    job: &'a Job,
    keys: impl Iterator<Item = &'a str>,
    state: StepState,
) -> Vec<BoxFuture<'a, Result<()>>> {
    keys.map(|key| jobs.end(&job.name, key, state).boxed()).collect()
}
