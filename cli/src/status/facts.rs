//! What is read for `status`: all of it at the same time, and what cannot be read keeps nothing else from being shown.

use std::collections::BTreeMap;
use std::time::Duration;

use hooks_aws::ledger::Ledger;
use hooks_webhook::Category;
use tokio::task::JoinSet;

use crate::aws::{DeadLetters, Depth, Entry, EventLog, Metrics, Wanted};
use crate::context::Context;
use crate::dlq::{Note, dead_letters, queue_url};
use crate::events::ledger;
use crate::failure::Failure;
use crate::when::Moment;

/// What CloudWatch counts is summed up over this.
pub(super) const WINDOW: Duration = Duration::from_hours(24);

const NAMESPACE: &str = "OpenAIWebhooks";

/// So many events of the day are counted at most, the newest ones.
pub(super) const MAX_EVENTS: usize = 10_000;

/// So many dead letters of a category are looked at for their reasons.
const MAX_LETTERS: usize = 1_000;

/// So many failures are shown.
const MAX_FAILURES: usize = 5;

/// So many expectations of a category are counted at most.
const MAX_WAITING: usize = 1_000;

/// The categories of what can be expected.
const EXPECTED: [&str; 4] = ["response", "batch", "eval", "fine-tuning"];

const DAY_MILLIS: i64 = 86_400_000;

/// How things stand.
#[derive(Default)]
pub(super) struct Facts {
    /// Deliveries by endpoint and outcome.
    pub(super) deliveries: Vec<(String, String, u64)>,
    /// Events that consumers have finished with, by category and outcome.
    pub(super) handled: BTreeMap<(String, String), u64>,
    /// Events of today by category and state.
    pub(super) today: BTreeMap<(String, String), u64>,
    /// Whether those are all of today.
    pub(super) complete: bool,
    /// The newest that failed today.
    pub(super) failures: Vec<Entry>,
    /// Each category's queue and dead-letter queue.
    pub(super) queues: BTreeMap<Category, (Depth, Depth)>,
    /// How old the oldest message of each queue is, in seconds.
    pub(super) ages: BTreeMap<Category, f64>,
    /// Dead letters by category and reason.
    pub(super) letters: BTreeMap<(Category, String), u64>,
    /// Whether each category is handled at all.
    pub(super) enabled: BTreeMap<Category, bool>,
    pub(super) expectations: Vec<Expected>,
    /// What could not be read, with why.
    pub(super) unreadable: Vec<(&'static str, String)>,
}

/// What waits of a category.
pub(super) struct Expected {
    pub(super) category: &'static str,
    pub(super) waiting: u64,
    /// Of these, those whose time is over, and nobody was told yet.
    pub(super) past_due: u64,
    pub(super) next: Option<Moment>,
}

impl Facts {
    pub(super) async fn gather(context: &Context) -> Result<Self, Failure> {
        let (metrics, ledger) = (Metrics::new(context.aws().await?), ledger(context).await?);
        let log = EventLog::new(ledger.clone());
        let mut queues = Vec::new();
        let mut facts = Self { complete: true, ..Self::default() };
        for category in Category::ALL {
            let name = queue_url(context, category).await?.rsplit('/').next().unwrap_or_default().to_owned();
            queues.push((category, name, dead_letters(context, category).await?));
            let enabled = context.parameter(&format!("{}Enabled", crate::dlq::logical(category))).await?;
            facts.enabled.insert(category, enabled != Some("false"));
        }
        let (deliveries, handled, ages, today, depths, expected) = tokio::join!(
            metrics.sums(NAMESPACE, "Deliveries", WINDOW),
            metrics.sums(NAMESPACE, "Handled", WINDOW),
            ages(&metrics, &queues),
            facts.read_today(&log),
            depths(&queues),
            expectations(&ledger),
        );
        if let Err(error) = today {
            facts.unreadable.push(("ledger", error.message));
        }
        match deliveries {
            Ok(sums) => {
                let counted =
                    sums.into_iter().map(|(by, sum)| (named(&by, "endpoint"), named(&by, "outcome"), whole(sum)));
                facts.deliveries = counted.filter(|(_, _, count)| *count > 0).collect();
                facts.deliveries.sort();
            }
            Err(error) => facts.unreadable.push(("metrics", error.message)),
        }
        for (by, sum) in handled.unwrap_or_default() {
            *facts.handled.entry((named(&by, "category"), named(&by, "outcome"))).or_default() += whole(sum);
        }
        // The same service has said why already.
        facts.ages = ages.unwrap_or_default();
        match depths {
            Ok(depths) => facts.queues = depths,
            Err(error) => facts.unreadable.push(("queues", error.message)),
        }
        match expected {
            Ok(expected) => facts.expectations = expected,
            Err(error) => facts.unreadable.push(("expectations", error.message)),
        }
        match reasons(&queues, &facts.queues).await {
            Ok(letters) => facts.letters = letters,
            Err(error) => facts.unreadable.push(("dead letters", error.message)),
        }
        Ok(facts)
    }

    async fn read_today(&mut self, log: &EventLog) -> Result<(), Failure> {
        let now = Moment::now().0;
        let since = now.div_euclid(DAY_MILLIS) * DAY_MILLIS;
        let mut entries = log.entries(Wanted { since, until: i64::MAX, ..Wanted::default() });
        for _ in 0..MAX_EVENTS {
            let Some(entry) = entries.next().await? else { return Ok(()) };
            *self.today.entry((entry.category.clone(), entry.state.clone())).or_default() += 1;
            if entry.state == "failed" && self.failures.len() < MAX_FAILURES {
                self.failures.push(entry);
            }
        }
        self.complete = entries.next().await?.is_none();
        Ok(())
    }
}

type Queue = (Category, String, DeadLetters);

async fn ages(metrics: &Metrics, queues: &[Queue]) -> Result<BTreeMap<Category, f64>, Failure> {
    let names: Vec<_> = queues.iter().map(|(_, name, _)| name.clone()).collect();
    let ages = metrics.oldest_ages(&names).await?;
    Ok(queues.iter().zip(ages).filter_map(|((category, _, _), age)| Some((*category, age?))).collect())
}

async fn depths(queues: &[Queue]) -> Result<BTreeMap<Category, (Depth, Depth)>, Failure> {
    let mut calls = JoinSet::new();
    for (category, _, letters) in queues {
        let (category, letters) = (*category, letters.clone());
        calls.spawn(async move {
            let (waiting, dead) = tokio::try_join!(letters.waiting(), letters.count())?;
            Ok::<_, Failure>((category, (waiting, dead)))
        });
    }
    calls.join_all().await.into_iter().collect()
}

/// Why the dead letters are dead, in the queues that have some.
async fn reasons(
    queues: &[Queue],
    depths: &BTreeMap<Category, (Depth, Depth)>,
) -> Result<BTreeMap<(Category, String), u64>, Failure> {
    let mut looks = JoinSet::new();
    for (category, _, letters) in queues {
        if depths.get(category).is_some_and(|(_, dead)| dead.visible > 0) {
            let (category, letters) = (*category, letters.clone());
            looks.spawn(async move {
                letters
                    .look(MAX_LETTERS, |letter| Some((category, Note::of(category, &letter).reason().to_owned())))
                    .await
            });
        }
    }
    let mut counts = BTreeMap::new();
    for found in looks.join_all().await {
        for letter in found? {
            *counts.entry(letter).or_default() += 1;
        }
    }
    Ok(counts)
}

async fn expectations(ledger: &Ledger) -> Result<Vec<Expected>, Failure> {
    let now = Moment::now().seconds();
    let mut found = Vec::new();
    for category in EXPECTED {
        let mut expected = Expected { category, waiting: 0, past_due: 0, next: None };
        let mut after = None;
        loop {
            let page = ledger.waiting(category, i64::MAX, after.as_ref(), 250).await?;
            for item in &page.items {
                expected.waiting += 1;
                expected.past_due += u64::from(item.due_at < now);
                expected.next = expected.next.or((item.due_at >= now).then_some(Moment::of_seconds(item.due_at)));
            }
            after = page.next;
            if after.is_none() || expected.waiting >= MAX_WAITING as u64 {
                break;
            }
        }
        found.push(expected);
    }
    Ok(found)
}

fn named(dimensions: &BTreeMap<String, String>, name: &str) -> String {
    dimensions.get(name).cloned().unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
fn whole(sum: f64) -> u64 {
    sum.round() as u64
}
