//! The numbers of a batch's requests: by its lines, which are what was kept, and by OpenAI, which counts apart.

use hooks_consumer::object::present;
use hooks_openai::{Batch, BatchStatus};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::lines::Tally;

/// The numbers of a batch's requests by its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// All requests: OpenAI's number, or that of the lines if there are more.
    pub(crate) total: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Lines that are not results, or too long.
    pub(crate) unreadable: u64,
    /// Requests that should have a line and have none.
    pub(crate) missing: u64,
}

impl Counts {
    /// The numbers of a batch that has ended, by the lines of both files together.
    pub(crate) fn of(batch: &Batch, lines: &Tally) -> Self {
        let by_openai = batch.request_counts.unwrap_or_default();
        let run = by_openai.completed.saturating_add(by_openai.failed);
        let expected = match batch.status {
            BatchStatus::Completed => run.max(by_openai.total),
            BatchStatus::Failed => 0,
            _ => run,
        };
        Self {
            total: by_openai.total.max(lines.lines),
            succeeded: lines.succeeded,
            failed: lines.failed,
            unreadable: lines.malformed + lines.oversized,
            missing: expected.saturating_sub(lines.lines),
        }
    }

    /// Requests without a result that can be used.
    pub(crate) const fn unsuccessful(self) -> u64 {
        self.failed + self.unreadable + self.missing
    }

    /// In which numbers OpenAI and the lines differ, in one sentence.
    pub(crate) fn disagreement(self, batch: &Batch) -> Option<String> {
        let by_openai = batch.request_counts?;
        let differ = (by_openai.completed, by_openai.failed) != (self.succeeded, self.failed);
        let Self { succeeded, failed, unreadable, missing, .. } = self;
        if batch.status == BatchStatus::Failed || (!differ && unreadable == 0 && missing == 0) {
            return None;
        }
        Some(format!(
            "OpenAI counts {} requests that succeeded and {} that failed; of the lines {succeeded} succeeded, {failed} \
             failed, {unreadable} unreadable, {missing} missing",
            by_openai.completed, by_openai.failed
        ))
    }

    /// The numbers by OpenAI's names, and those that are odd.
    pub(crate) fn by_name(self) -> Map<String, Value> {
        let Self { total, succeeded, failed, unreadable, missing } = self;
        let odd = |count| Some(count).filter(|count| *count > 0);
        present([
            ("total", Some(total)),
            ("completed", Some(succeeded)),
            ("failed", Some(failed)),
            ("unreadable", odd(unreadable)),
            ("missing", odd(missing)),
        ])
    }
}

/// OpenAI's numbers, by name.
pub(crate) fn of_openai(batch: &Batch) -> Map<String, Value> {
    let counts = batch.request_counts;
    present([
        ("total", counts.map(|counts| counts.total)),
        ("completed", counts.map(|counts| counts.completed)),
        ("failed", counts.map(|counts| counts.failed)),
    ])
}
