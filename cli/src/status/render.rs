//! Output of `status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::style;
use hooks_webhook::Category;
use serde_json::{Value, json};

use super::collect::{MAX_EVENTS, StackStatus};
use crate::aws::Stack;
use crate::events;
use crate::output::{key_values, or_dash, table};
use crate::queue_status::QueueStatus;
use crate::timestamp::{Timestamp, duration};

const STATES: [&str; 3] = ["completed", "in_progress", "failed"];

/// Outcome of a delivery that is not refused.
const ACCEPTED: &str = "accepted";

pub(super) fn document(stack: &Stack, status: &StackStatus) -> Value {
    let categories = status.queues.iter().map(|queue| {
        let depths = queue.depths.as_ref().ok();
        let today = STATES.map(|state| (state, today(status, queue.category, state)));
        json!({
            "category": queue.category.as_str(),
            "enabled": queue.is_handled,
            "today": BTreeMap::from(today),
            "waiting": depths.map(|depths| depths.queue.visible + depths.queue.delayed),
            "in_flight": depths.map(|depths| depths.queue.in_flight),
            "oldest_seconds": queue.oldest,
            "dead_letters": depths.map(|depths| depths.dead.visible + depths.dead.in_flight),
        })
    });
    let deliveries = status
        .deliveries
        .iter()
        .map(|(endpoint, outcome, count)| json!({"endpoint": endpoint, "outcome": outcome, "count": count}));
    let handled = status
        .handled
        .iter()
        .map(|((category, outcome), count)| json!({"category": category, "outcome": outcome, "count": count}));
    let letters = status
        .letters
        .iter()
        .map(|((category, reason), count)| json!({"category": category.as_str(), "reason": reason, "count": count}));
    let expectations = status.expectations.iter().map(|one| {
        json!({
            "category": one.category, "waiting": one.waiting, "past_due": one.past_due,
            "next_due_at": one.next.map(Timestamp::json),
        })
    });
    let unreadable = status.unreadable.iter().map(|(part, error)| json!({"part": part, "error": error}));
    json!({
        "stack": {"name": stack.name, "status": stack.status},
        "deliveries": deliveries.collect::<Vec<_>>(),
        "handled": handled.collect::<Vec<_>>(),
        "categories": categories.collect::<Vec<_>>(),
        "today_is_complete": !status.today.more,
        "dead_letters": letters.collect::<Vec<_>>(),
        "failures": status.today.failures,
        "expectations": expectations.collect::<Vec<_>>(),
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}

pub(super) fn text(stack: &Stack, status: &StackStatus) -> String {
    let mut text = format!("{}  {}\n", style(&stack.name).bold(), stack.status);
    let mut section = |heading: &str, content: &str| {
        if !content.is_empty() {
            let _ = write!(text, "\n{}\n{content}", style(heading).bold());
        }
    };
    section("Deliveries of the last 24 hours, to all stacks of this account and region", &deliveries(status));
    let newest = if status.today.more { format!(", the newest {MAX_EVENTS}") } else { String::new() };
    section(&format!("Events since midnight (UTC){newest}, and their queues now"), &categories(status));
    section("Dead letters", &letters(status));
    section("Failed today", &failures(status));
    section("Expected", &expectations(status));
    for (part, error) in &status.unreadable {
        let _ = writeln!(text, "\n{}", style(format!("Cannot read the {part}: {error}")).red());
    }
    text
}

/// A table with some rows in red; empty without rows.
fn red_table<const N: usize>(headings: [&str; N], rows: Vec<([String; N], bool)>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let (rows, red): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
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
    let row = |(endpoint, outcome, count): &(String, String, u64)| {
        let refused = outcome != ACCEPTED;
        let answer = if refused { format!("refused: {outcome}") } else { outcome.clone() };
        ([endpoint.clone(), answer, count.to_string()], refused)
    };
    let mut text = red_table(["ENDPOINT", "ANSWER", "COUNT"], status.deliveries.iter().map(row).collect());
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
    let row = |queue: &QueueStatus| {
        let depths = queue.depths.as_ref().ok();
        let number = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let dead = depths.map(|depths| depths.dead.visible + depths.dead.in_flight);
        let waiting = depths.map(|depths| depths.queue.visible + depths.queue.delayed);
        let [completed, in_progress, failed] = STATES.map(|state| today(status, queue.category, state));
        let row = [
            format!("{}{}", queue.category, if queue.is_handled { "" } else { " (off)" }),
            completed.to_string(),
            in_progress.to_string(),
            failed.to_string(),
            number(waiting),
            number(depths.map(|depths| depths.queue.in_flight)),
            age(queue.oldest, waiting),
            number(dead),
        ];
        (row, failed > 0 || dead.is_some_and(|dead| dead > 0))
    };
    let headings =
        ["CATEGORY", "COMPLETED", "IN PROGRESS", "FAILED", "WAITING", "IN FLIGHT", "OLDEST WAITS", "DEAD LETTERS"];
    red_table(headings, status.queues.iter().map(row).collect())
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
    let row = |((category, reason), count): (&(Category, String), &u64)| {
        ([category.to_string(), reason.clone(), count.to_string()], true)
    };
    match red_table(["CATEGORY", "REASON", "COUNT"], status.letters.iter().map(row).collect()).as_str() {
        "" => String::new(),
        list => format!(
            "{list}  List them: openai-webhooks dlq list. Once the cause is gone: openai-webhooks dlq redrive\n"
        ),
    }
}

fn failures(status: &StackStatus) -> String {
    let row = |entry: &crate::aws::Entry| {
        let (received, object) = (entry.received_at.text(), or_dash(entry.object_id.as_deref()));
        ([received, entry.event_type.clone(), object, events::result(entry), entry.webhook_id.clone()], true)
    };
    let headings = ["RECEIVED (UTC)", "TYPE", "OBJECT", "REASON", "ID"];
    red_table(headings, status.today.failures.iter().map(row).collect())
}

fn expectations(status: &StackStatus) -> String {
    let waiting = status.expectations.iter().filter(|one| one.waiting > 0);
    let rows: Vec<_> = waiting
        .map(|one| {
            let overdue = if one.past_due > 0 { format!(", {} overdue", one.past_due) } else { String::new() };
            let next = one.next.map(|next| format!(", the next due {} UTC", next.text())).unwrap_or_default();
            (one.category, format!("{} waiting{overdue}{next}", one.waiting))
        })
        .collect();
    key_values(&rows).lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}

fn today(status: &StackStatus, category: Category, state: &str) -> u64 {
    status.today.counts.get(&(category.to_string(), state.to_owned())).copied().unwrap_or(0)
}
