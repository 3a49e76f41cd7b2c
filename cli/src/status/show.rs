//! How `status` looks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::style;
use hooks_webhook::Category;
use serde_json::{Value, json};

use super::facts::{Facts, MAX_EVENTS};
use crate::aws::Stack;
use crate::events::{document as event, result};
use crate::output::{pairs, table};
use crate::when::{Moment, duration};

const STATES: [&str; 3] = ["completed", "in_progress", "failed"];

/// The outcome of a delivery that was not refused.
const ACCEPTED: &str = "accepted";

pub(super) fn document(stack: &Stack, facts: &Facts) -> Value {
    let categories = Category::ALL.map(|category| {
        let depths = facts.queues.get(&category);
        json!({
            "category": category.as_str(),
            "enabled": facts.enabled.get(&category),
            "today": STATES.map(|state| (state, today(facts, category, state))).into_iter().collect::<BTreeMap<_, _>>(),
            "waiting": depths.map(|(queue, _)| queue.visible + queue.delayed),
            "in_flight": depths.map(|(queue, _)| queue.in_flight),
            "oldest_seconds": facts.ages.get(&category),
            "dead_letters": depths.map(|(_, dead)| dead.visible + dead.in_flight),
        })
    });
    let deliveries = facts
        .deliveries
        .iter()
        .map(|(endpoint, outcome, count)| json!({"endpoint": endpoint, "outcome": outcome, "count": count}));
    let handled = facts
        .handled
        .iter()
        .map(|((category, outcome), count)| json!({"category": category, "outcome": outcome, "count": count}));
    let letters = facts
        .letters
        .iter()
        .map(|((category, reason), count)| json!({"category": category.as_str(), "reason": reason, "count": count}));
    let expectations = facts.expectations.iter().map(|expected| {
        json!({
            "category": expected.category, "waiting": expected.waiting, "past_due": expected.past_due,
            "next_due_at": expected.next.map(Moment::json),
        })
    });
    let unreadable = facts.unreadable.iter().map(|(part, error)| json!({"part": part, "error": error}));
    json!({
        "stack": {"name": stack.name, "status": stack.status},
        "deliveries": deliveries.collect::<Vec<_>>(),
        "handled": handled.collect::<Vec<_>>(),
        "categories": categories,
        "today_is_complete": facts.complete,
        "dead_letters": letters.collect::<Vec<_>>(),
        "failures": facts.failures.iter().map(event).collect::<Vec<_>>(),
        "expectations": expectations.collect::<Vec<_>>(),
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}

pub(super) fn text(stack: &Stack, facts: &Facts) -> String {
    let mut text = format!("{}  {}\n", style(&stack.name).bold(), stack.status);
    section(&mut text, "Deliveries of the last 24 hours, to all stacks of this account and region", &deliveries(facts));
    let until = if facts.complete { String::new() } else { format!(", the newest {MAX_EVENTS}") };
    section(&mut text, &format!("Events since midnight (UTC){until}, and their queues now"), &categories(facts));
    section(&mut text, "Dead letters", &letters(facts));
    section(&mut text, "Failed today", &failures(facts));
    section(&mut text, "Expected", &expectations(facts));
    for (part, error) in &facts.unreadable {
        let _ = writeln!(text, "\n{}", style(format!("The {part} cannot be read: {error}")).red());
    }
    text
}

/// A section, unless it has nothing to say.
fn section(text: &mut String, heading: &str, content: &str) {
    if !content.is_empty() {
        let _ = write!(text, "\n{}\n{content}", style(heading).bold());
    }
}

/// A table in which some rows are bad news.
fn with_alarms<const N: usize>(headings: [&str; N], rows: &[([String; N], bool)]) -> String {
    let plain: Vec<_> = rows.iter().map(|(row, _)| row.clone()).collect();
    let alarms = std::iter::once(false).chain(rows.iter().map(|(_, alarm)| *alarm));
    table(headings, &plain).lines().zip(alarms).fold(String::new(), |mut text, (line, alarm)| {
        let _ = if alarm { writeln!(text, "  {}", style(line).red()) } else { writeln!(text, "  {line}") };
        text
    })
}

fn deliveries(facts: &Facts) -> String {
    if facts.deliveries.is_empty() {
        return "  no data\n".to_owned();
    }
    let rows: Vec<_> = facts
        .deliveries
        .iter()
        .map(|(endpoint, outcome, count)| {
            let refused = outcome != ACCEPTED;
            let what = if refused { format!("refused: {outcome}") } else { outcome.clone() };
            ([endpoint.clone(), what, count.to_string()], refused)
        })
        .collect();
    let mut by_outcome = BTreeMap::<&str, u64>::new();
    for ((_, outcome), count) in &facts.handled {
        *by_outcome.entry(outcome).or_default() += count;
    }
    let handled: Vec<_> = by_outcome.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let mut text = with_alarms(["ENDPOINT", "ANSWER", "COUNT"], &rows);
    if !handled.is_empty() {
        let _ = writeln!(text, "  What the consumers made of them: {}", handled.join(", "));
    }
    text
}

fn categories(facts: &Facts) -> String {
    let rows: Vec<_> = Category::ALL
        .into_iter()
        .map(|category| {
            let depths = facts.queues.get(&category);
            let number = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let dead = depths.map(|(_, dead)| dead.visible + dead.in_flight);
            let waiting = depths.map(|(queue, _)| queue.visible + queue.delayed);
            let off = if facts.enabled.get(&category) == Some(&false) { " (off)" } else { "" };
            let [completed, in_progress, failed] = STATES.map(|state| today(facts, category, state));
            let row = [
                format!("{category}{off}"),
                completed.to_string(),
                in_progress.to_string(),
                failed.to_string(),
                number(waiting),
                number(depths.map(|(queue, _)| queue.in_flight)),
                age(facts.ages.get(&category).copied(), waiting),
                number(dead),
            ];
            (row, failed > 0 || dead.is_some_and(|dead| dead > 0))
        })
        .collect();
    let headings =
        ["CATEGORY", "COMPLETED", "IN PROGRESS", "FAILED", "WAITING", "IN FLIGHT", "OLDEST WAITS", "DEAD LETTERS"];
    with_alarms(headings, &rows)
}

fn age(seconds: Option<f64>, waiting: Option<u64>) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "an age in seconds")]
    match (seconds, waiting) {
        (_, Some(0)) => "-".to_owned(),
        (Some(seconds), _) => duration(seconds as i64),
        (None, _) => "no data".to_owned(),
    }
}

fn letters(facts: &Facts) -> String {
    let rows: Vec<_> = facts
        .letters
        .iter()
        .map(|((category, reason), count)| ([category.to_string(), reason.clone(), count.to_string()], true))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let list = with_alarms(["CATEGORY", "REASON", "COUNT"], &rows);
    format!("{list}  `openai-webhooks dlq list` has them; `dlq redrive` once the cause is gone\n")
}

fn failures(facts: &Facts) -> String {
    let rows: Vec<_> = facts
        .failures
        .iter()
        .map(|entry| {
            let object = entry.object_id.clone().unwrap_or_else(|| "-".to_owned());
            let received = Moment(entry.received_at).text();
            ([received, entry.event_type.clone(), object, result(entry), entry.webhook_id.clone()], true)
        })
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        with_alarms(["RECEIVED (UTC)", "TYPE", "OBJECT", "REASON", "ID"], &rows)
    }
}

fn expectations(facts: &Facts) -> String {
    let waiting = facts.expectations.iter().filter(|expected| expected.waiting > 0);
    let rows: Vec<_> = waiting
        .map(|expected| {
            let overdue =
                if expected.past_due > 0 { format!(", {} overdue", expected.past_due) } else { String::new() };
            let next = expected.next.map(|next| format!(", the next one due {} UTC", next.text())).unwrap_or_default();
            (expected.category, format!("{} waiting{overdue}{next}", expected.waiting))
        })
        .collect();
    pairs(&rows).lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}

fn today(facts: &Facts, category: Category, state: &str) -> u64 {
    facts.today.get(&(category.to_string(), state.to_owned())).copied().unwrap_or(0)
}
