//! `status`: the state of the stack at a glance. A part that cannot be read does not prevent the others.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use console::style;
use hooks_aws::ledger::Ledger;
use hooks_webhook::Category;
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::{Entry, EventFilter, EventLog, Stack, sums};
use crate::context::Context;
use crate::dlq;
use crate::error::{CliError, Exit, Result};
use crate::events;
use crate::expect;
use crate::output::{key_values, or_dash, table};
use crate::queue_status::QueueStatus;
use crate::timestamp::{DAY_MILLIS, Timestamp, duration};
use hooks_operate::parallel::all;

/// Window of CloudWatch's sums.
const WINDOW: Duration = Duration::from_hours(24);

/// Maximum number of events that are counted, newest first.
const MAX_EVENTS: usize = 10_000;

/// Maximum number of dead letters per category that are read for their reasons.
const MAX_LETTERS: usize = 1_000;

/// Maximum number of failed events that are shown.
const MAX_FAILURES: usize = 5;

/// Maximum number of expectations per category that are counted.
const MAX_WAITING: u64 = 1_000;

const STATES: [&str; 3] = ["completed", "in_progress", "failed"];

/// Outcome of a delivery that is not refused.
const ACCEPTED: &str = "accepted";

/// Numbers by two words, such as a category and an outcome.
type Counts<A = String> = BTreeMap<(A, String), u64>;

/// State of the stack.
#[derive(Default)]
struct StackStatus {
    /// Deliveries by endpoint and outcome.
    deliveries: Counts,
    /// Handled events by category and outcome.
    handled: Counts,
    recent: Recent,
    queues: Vec<QueueStatus>,
    /// Dead letters by category and reason.
    letters: Counts<Category>,
    expectations: Vec<ExpectationStatus>,
    /// Parts that cannot be read, with the error.
    unreadable: Vec<(&'static str, String)>,
}

/// Events received in the last 24 hours.
#[derive(Default)]
struct Recent {
    /// Number by category and state.
    counts: Counts,
    /// Whether there are more than were counted.
    more: bool,
    /// The newest failed events.
    failures: Vec<Entry>,
}

/// Expectations of a category.
#[derive(Serialize)]
struct ExpectationStatus {
    category: &'static str,
    waiting: u64,
    /// Number of those that are overdue, but not yet alerted.
    past_due: u64,
    next_due_at: Option<Timestamp>,
}

pub(crate) async fn run(context: &Context) -> Result {
    let stack = context.stack().await?;
    let spinner = context.out.spinner("Reading the stack's state");
    let status = Box::pin(StackStatus::read(context)).await?;
    drop(spinner);
    context.out.result(&document(stack, &status), || text(stack, &status))?;
    match status.unreadable.first() {
        None => Ok(Exit::Success),
        Some((part, error)) => Err(CliError::service(format!("cannot read the {part}: {error}")).hint(
            "Your AWS identity needs dynamodb:Query on the table's indexes, cloudwatch:ListMetrics and \
             cloudwatch:GetMetricData, and sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:ChangeMessageVisibility.",
        )),
    }
}

impl StackStatus {
    async fn read(context: &Context) -> Result<Self> {
        let (aws, stack, ledger) = (context.aws().await?, context.stack().await?, context.ledger().await?);
        let log = context.event_log().await?;
        let (deliveries, handled, recent, queues, expectations) = tokio::join!(
            sums(aws, &stack.name, "Deliveries", ("endpoint", "outcome"), WINDOW),
            sums(aws, &stack.name, "Handled", ("category", "outcome"), WINDOW),
            recent(&log),
            QueueStatus::read(context),
            expectations(&ledger),
        );
        let mut status = Self { queues: queues?, ..Self::default() };
        status.recent = status.part("ledger", recent);
        status.deliveries = status.part("metrics", deliveries.map_err(CliError::from));
        // An error of the same service is reported above.
        status.handled = handled.unwrap_or_default();
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

impl Recent {
    fn count(&self, category: Category, state: &str) -> u64 {
        self.counts.get(&(category.to_string(), state.to_owned())).copied().unwrap_or(0)
    }
}

async fn recent(log: &EventLog) -> Result<Recent> {
    let since = Timestamp::now().0 - DAY_MILLIS;
    let mut entries = log.entries(EventFilter { since, until: i64::MAX, ..EventFilter::default() });
    let mut recent = Recent::default();
    for _ in 0..MAX_EVENTS {
        let Some(entry) = entries.next().await? else { return Ok(recent) };
        *recent.counts.entry((entry.category.clone(), entry.state.clone())).or_default() += 1;
        if entry.state == "failed" && recent.failures.len() < MAX_FAILURES {
            recent.failures.push(entry);
        }
    }
    recent.more = entries.next().await?.is_some();
    Ok(recent)
}

/// Number of dead letters by reason, in the queues that have some.
async fn dead_letters(queues: &[QueueStatus]) -> Result<Counts<Category>> {
    let queues = queues.iter().filter(|queue| queue.depths.as_ref().is_ok_and(|(_, dead)| dead.visible > 0));
    let calls = queues.map(async |QueueStatus { category, queue, .. }| {
        queue.peek(MAX_LETTERS, |letter| Some((*category, dlq::reason(&letter)))).await
    });
    let mut counts = BTreeMap::new();
    for letter in all(calls).await?.into_iter().flatten() {
        *counts.entry(letter).or_default() += 1;
    }
    Ok(counts)
}

async fn expectations(ledger: &Ledger) -> Result<Vec<ExpectationStatus>> {
    let now = Timestamp::now().seconds();
    let mut all = Vec::new();
    for category in expect::CATEGORIES.map(Category::as_str) {
        let mut status = ExpectationStatus { category, waiting: 0, past_due: 0, next_due_at: None };
        let mut after = None;
        loop {
            let page = ledger.waiting(category, i64::MAX, after.as_ref(), 250).await?;
            for item in &page.items {
                status.waiting += 1;
                status.past_due += u64::from(item.due_at < now);
                let next = (item.due_at >= now).then_some(Timestamp::from_seconds(item.due_at));
                status.next_due_at = status.next_due_at.or(next);
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

fn document(stack: &Stack, status: &StackStatus) -> Value {
    let categories = status.queues.iter().map(|queue| {
        let [completed, in_progress, failed] = STATES.map(|state| status.recent.count(queue.category, state));
        let [waiting, in_flight, dead_letters] = depths(queue);
        json!({
            "category": queue.category.as_str(),
            "enabled": queue.is_handled,
            "paused": queue.is_paused,
            "last_24_hours": {"completed": completed, "in_progress": in_progress, "failed": failed},
            "waiting": waiting,
            "in_flight": in_flight,
            "oldest_seconds": queue.oldest,
            "dead_letters": dead_letters,
        })
    });
    json!({
        "stack": {"name": stack.name, "status": stack.status},
        "deliveries": counts(&status.deliveries, "endpoint", "outcome"),
        "handled": counts(&status.handled, "category", "outcome"),
        "categories": categories.collect::<Value>(),
        "last_24_hours_is_complete": !status.recent.more,
        "dead_letters": counts(&status.letters, "category", "reason"),
        "failures": status.recent.failures,
        "expectations": status.expectations,
        "unreadable": status.unreadable.iter().map(|(part, error)| json!({"part": part, "error": error})).collect::<Value>(),
    })
}

fn counts(counts: &Counts<impl Display>, first: &str, second: &str) -> Value {
    counts.iter().map(|((one, other), count)| json!({first: one.to_string(), second: other, "count": count})).collect()
}

/// Numbers of waiting messages, of messages in flight, and of dead letters; `None` if they cannot be read.
fn depths(queue: &QueueStatus) -> [Option<u64>; 3] {
    let depths = queue.depths.as_ref().ok();
    let numbers =
        depths.map(|(queue, dead)| [queue.visible + queue.delayed, queue.in_flight, dead.visible + dead.in_flight]);
    numbers.map_or([None; 3], |numbers| numbers.map(Some))
}

fn text(stack: &Stack, status: &StackStatus) -> String {
    let mut text = format!("{}  {}\n", style(&stack.name).bold(), stack.status);
    let mut section = |heading: &str, content: &str| {
        if !content.is_empty() {
            let _ = write!(text, "\n{}\n{content}", style(heading).bold());
        }
    };
    section("Deliveries of the last 24 hours, to all stacks of this account and region", &deliveries(status));
    let newest = if status.recent.more { format!(", the newest {MAX_EVENTS}") } else { String::new() };
    section(&format!("Events of the last 24 hours{newest}, and their queues now"), &categories(status));
    section("Dead letters", &letters(status));
    section("Failed in the last 24 hours", &failures(status));
    section("Expected", &expected(status));
    for (part, error) in &status.unreadable {
        let _ = writeln!(text, "\n{}", style(format!("Cannot read the {part}: {error}")).red());
    }
    text
}

/// A table with some rows in red; empty without rows.
fn red_table<const N: usize>(headings: [&str; N], rows: impl Iterator<Item = ([String; N], bool)>) -> String {
    let (rows, red): (Vec<_>, Vec<_>) = rows.unzip();
    if rows.is_empty() {
        return String::new();
    }
    let red = std::iter::once(false).chain(red);
    table(headings, &rows).lines().zip(red).fold(String::new(), |mut text, (line, red)| {
        let _ = if red { writeln!(text, "  {}", style(line).red()) } else { writeln!(text, "  {line}") };
        text
    })
}

fn deliveries(status: &StackStatus) -> String {
    if status.deliveries.is_empty() {
        return "  no data\n".to_owned();
    }
    let rows = status.deliveries.iter().map(|((endpoint, outcome), count)| {
        let refused = outcome != ACCEPTED;
        let answer = if refused { format!("refused: {outcome}") } else { outcome.clone() };
        ([endpoint.clone(), answer, count.to_string()], refused)
    });
    let mut text = red_table(["ENDPOINT", "ANSWER", "COUNT"], rows);
    let mut by_outcome = BTreeMap::<&str, u64>::new();
    for ((_, outcome), count) in &status.handled {
        *by_outcome.entry(outcome).or_default() += count;
    }
    let handled: Vec<_> = by_outcome.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    if !handled.is_empty() {
        let _ = writeln!(text, "  Results of the consumers: {}", handled.join(", "));
    }
    text
}

fn categories(status: &StackStatus) -> String {
    let rows = status.queues.iter().map(|queue| {
        let number = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let [waiting, in_flight, dead] = depths(queue);
        let [completed, in_progress, failed] = STATES.map(|state| status.recent.count(queue.category, state));
        let row = [
            format!("{}{}", queue.category, state(queue)),
            completed.to_string(),
            in_progress.to_string(),
            failed.to_string(),
            number(waiting),
            number(in_flight),
            age(queue.oldest, waiting),
            number(dead),
        ];
        (row, failed > 0 || dead.is_some_and(|dead| dead > 0))
    });
    let headings =
        ["CATEGORY", "COMPLETED", "IN PROGRESS", "FAILED", "WAITING", "IN FLIGHT", "OLDEST WAITS", "DEAD LETTERS"];
    red_table(headings, rows)
}

/// Whether a category's events are handled, behind its name.
fn state(queue: &QueueStatus) -> &'static str {
    match (queue.is_handled, queue.is_paused) {
        (false, _) => " (off)",
        (true, Some(true)) => " (paused)",
        (true, _) => "",
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an age in seconds")]
fn age(seconds: Option<f64>, waiting: Option<u64>) -> String {
    match (seconds, waiting) {
        (_, Some(0)) => "-".to_owned(),
        (Some(seconds), _) => duration(seconds as i64),
        (None, _) => "no data".to_owned(),
    }
}

fn letters(status: &StackStatus) -> String {
    let rows = status.letters.iter();
    let rows =
        rows.map(|((category, reason), count)| ([category.to_string(), reason.clone(), count.to_string()], true));
    match red_table(["CATEGORY", "REASON", "COUNT"], rows).as_str() {
        "" => String::new(),
        list => format!(
            "{list}  List them: openai-webhooks dlq list. Once the cause is gone: openai-webhooks dlq redrive\n"
        ),
    }
}

fn failures(status: &StackStatus) -> String {
    let row = |entry: &Entry| {
        let (received, object) = (entry.received_at.text(), or_dash(entry.object_id.as_deref()));
        ([received, entry.event_type.clone(), object, events::result(entry), entry.webhook_id.clone()], true)
    };
    let mut text =
        red_table(["RECEIVED (UTC)", "TYPE", "OBJECT", "REASON", "ID"], status.recent.failures.iter().map(row));
    let all: u64 = Category::ALL.into_iter().map(|category| status.recent.count(category, "failed")).sum();
    let shown = status.recent.failures.len() as u64;
    if all > shown {
        let _ = writeln!(text, "  and {} more: openai-webhooks events list --failed", all - shown);
    }
    text
}

fn expected(status: &StackStatus) -> String {
    let waiting = status.expectations.iter().filter(|one| one.waiting > 0);
    let rows: Vec<_> = waiting
        .map(|one| {
            let overdue = if one.past_due > 0 { format!(", {} overdue", one.past_due) } else { String::new() };
            let next = one.next_due_at.map(|next| format!(", the next due {} UTC", next.text())).unwrap_or_default();
            (one.category, format!("{} waiting{overdue}{next}", one.waiting))
        })
        .collect();
    key_values(&rows).lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}
