//! Data for `status`, read in parallel. A part that cannot be read does not prevent the others.

use std::collections::BTreeMap;
use std::time::Duration;

use hooks_aws::ledger::Ledger;
use hooks_webhook::Category;
use tokio::task::JoinSet;

use crate::aws::{Entry, EventFilter, EventLog, Metrics};
use crate::context::Context;
use crate::dlq;
use crate::error::Result;
use crate::expect;
use crate::queue_status::QueueStatus;
use crate::timestamp::Timestamp;

/// Window of CloudWatch's sums.
const WINDOW: Duration = Duration::from_hours(24);

const NAMESPACE: &str = "OpenAIWebhooks";

/// Maximum number of today's events that are counted, newest first.
pub(super) const MAX_EVENTS: usize = 10_000;

/// Maximum number of dead letters per category that are read for their reasons.
const MAX_LETTERS: usize = 1_000;

/// Maximum number of failed events that are shown.
const MAX_FAILURES: usize = 5;

/// Maximum number of expectations per category that are counted.
const MAX_WAITING: u64 = 1_000;

const DAY_MILLIS: i64 = 86_400_000;

/// State of the stack.
#[derive(Default)]
pub(super) struct StackStatus {
    /// Deliveries by endpoint and outcome.
    pub(super) deliveries: Vec<(String, String, u64)>,
    /// Handled events by category and outcome.
    pub(super) handled: BTreeMap<(String, String), u64>,
    pub(super) today: Today,
    pub(super) queues: Vec<QueueStatus>,
    /// Dead letters by category and reason.
    pub(super) letters: BTreeMap<(Category, String), u64>,
    pub(super) expectations: Vec<ExpectationStatus>,
    /// Parts that cannot be read, with the error.
    pub(super) unreadable: Vec<(&'static str, String)>,
}

/// Events received since midnight UTC.
#[derive(Default)]
pub(super) struct Today {
    /// Number by category and state.
    pub(super) counts: BTreeMap<(String, String), u64>,
    /// Whether there are more than were counted.
    pub(super) more: bool,
    /// The newest failed events.
    pub(super) failures: Vec<Entry>,
}

/// Expectations of a category.
pub(super) struct ExpectationStatus {
    pub(super) category: &'static str,
    pub(super) waiting: u64,
    /// Number of those that are overdue, but not yet alerted.
    pub(super) past_due: u64,
    pub(super) next: Option<Timestamp>,
}

impl StackStatus {
    pub(super) async fn collect(context: &Context) -> Result<Self> {
        let (metrics, ledger) = (Metrics::new(context.aws().await?), context.ledger().await?);
        let log = EventLog::new(ledger.clone());
        let (deliveries, handled, today, queues, expectations) = tokio::join!(
            metrics.sums(NAMESPACE, "Deliveries", WINDOW),
            metrics.sums(NAMESPACE, "Handled", WINDOW),
            today(&log),
            QueueStatus::read(context),
            expectations(&ledger),
        );
        let mut status = Self { queues: queues?, ..Self::default() };
        status.today = status.part("ledger", today);
        let label = |labels: &BTreeMap<String, String>, name| labels.get(name).cloned().unwrap_or_default();
        let deliveries = status.part("metrics", deliveries).into_iter();
        status.deliveries = deliveries
            .map(|(labels, sum)| (label(&labels, "endpoint"), label(&labels, "outcome"), whole(sum)))
            .filter(|(_, _, count)| *count > 0)
            .collect();
        status.deliveries.sort();
        // An error of the same service is reported above.
        for (labels, sum) in handled.unwrap_or_default() {
            *status.handled.entry((label(&labels, "category"), label(&labels, "outcome"))).or_default() += whole(sum);
        }
        if let Some(error) = status.queues.iter().find_map(|queue| queue.depths.as_ref().err()) {
            status.unreadable.push(("queues", error.message.clone()));
        }
        status.expectations = status.part("expectations", expectations);
        let letters = dead_letters(&status.queues).await;
        status.letters = status.part("dead letters", letters);
        Ok(status)
    }

    /// The result of a part, or its default with the error noted.
    fn part<T: Default>(&mut self, name: &'static str, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.unreadable.push((name, error.message));
            T::default()
        })
    }
}

async fn today(log: &EventLog) -> Result<Today> {
    let since = Timestamp::now().0.div_euclid(DAY_MILLIS) * DAY_MILLIS;
    let mut entries = log.entries(EventFilter { since, until: i64::MAX, ..EventFilter::default() });
    let mut today = Today::default();
    for _ in 0..MAX_EVENTS {
        let Some(entry) = entries.next().await? else { return Ok(today) };
        *today.counts.entry((entry.category.clone(), entry.state.clone())).or_default() += 1;
        if entry.state == "failed" && today.failures.len() < MAX_FAILURES {
            today.failures.push(entry);
        }
    }
    today.more = entries.next().await?.is_some();
    Ok(today)
}

/// Number of dead letters by reason, in the queues that have some.
async fn dead_letters(queues: &[QueueStatus]) -> Result<BTreeMap<(Category, String), u64>> {
    let mut calls = JoinSet::new();
    for QueueStatus { category, queue, depths, .. } in queues {
        if depths.as_ref().is_ok_and(|depths| depths.dead.visible > 0) {
            let (category, queue) = (*category, queue.clone());
            calls.spawn(async move { queue.peek(MAX_LETTERS, |letter| Some((category, dlq::reason(&letter)))).await });
        }
    }
    let mut counts = BTreeMap::new();
    for found in calls.join_all().await {
        for letter in found? {
            *counts.entry(letter).or_default() += 1;
        }
    }
    Ok(counts)
}

async fn expectations(ledger: &Ledger) -> Result<Vec<ExpectationStatus>> {
    let now = Timestamp::now().seconds();
    let mut all = Vec::new();
    for category in expect::CATEGORIES.map(Category::as_str) {
        let mut status = ExpectationStatus { category, waiting: 0, past_due: 0, next: None };
        let mut after = None;
        loop {
            let page = ledger.waiting(category, i64::MAX, after.as_ref(), 250).await?;
            for item in &page.items {
                status.waiting += 1;
                status.past_due += u64::from(item.due_at < now);
                status.next = status.next.or((item.due_at >= now).then_some(Timestamp::from_seconds(item.due_at)));
            }
            after = page.next;
            if after.is_none() || status.waiting >= MAX_WAITING {
                break;
            }
        }
        all.push(status);
    }
    Ok(all)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
fn whole(sum: f64) -> u64 {
    sum.round() as u64
}
