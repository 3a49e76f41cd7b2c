//! The task `reconcile`: what ended at OpenAI without a webhook.

use hooks_telemetry::{Line, Metric};
use lambda_runtime::Error;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::kind::Kind;
use crate::settings::Services;
use crate::walk::{Bounds, Walk, Walked};

/// Goes through every list. A fault in one does not keep the others; what was a fault of OpenAI or AWS fails the
/// invocation in the end, so that Lambda tries again and an alarm sees it when that does not help.
pub(crate) async fn run(services: &Services, now: i64, until: Instant) -> Result<Value, Error> {
    let openai = match services.openai().await {
        Ok(openai) => openai,
        Err(fault) if fault.is_of_setup() => {
            Line::warn(&format!("nothing was reconciled: {fault}")).metric(Metric::Reconciled, 0).emit();
            return Ok(json!({"task": "reconcile", "skipped": fault.to_string()}));
        }
        Err(fault) => return Err(fault.into()),
    };
    let mut lists = Vec::new();
    for (position, kind) in Kind::ALL.into_iter().enumerate() {
        // The time that is left is shared by those that are left, so that a long list leaves the others theirs.
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(Kind::ALL.len() - position).unwrap_or(1);
        let (books, until) = (&services.desk, Instant::now() + share);
        let walk = Walk { kind, openai: &openai, books, bounds: Bounds::USUAL, now, until };
        lists.push((kind, walk.walk().await));
    }
    log(&lists);
    let failed: Vec<String> = lists.iter().filter_map(|(kind, walked)| failure(*kind, walked)).collect();
    if failed.is_empty() { Ok(result(&lists)) } else { Err(failed.join("; ").into()) }
}

fn failure(kind: Kind, walked: &Walked) -> Option<String> {
    let fault = walked.fault.as_ref().filter(|fault| !fault.is_of_setup())?;
    Some(format!("{}: {fault}", kind.as_str()))
}

fn log(lists: &[(Kind, Walked)]) {
    let faults: Vec<String> = lists
        .iter()
        .filter_map(|(kind, walked)| Some(format!("{}: {}", kind.as_str(), walked.fault.as_ref()?)))
        .collect();
    let sent: usize = lists.iter().map(|(_, walked)| walked.sent).sum();
    let mut line = if faults.is_empty() { Line::info("reconciled") } else { Line::warn("reconciled in part") };
    for (kind, walked) in lists {
        let name = kind.as_str();
        line = line.number(&format!("{name}.entries"), walked.entries as u64);
        line = line.number(&format!("{name}.sent"), walked.sent as u64);
    }
    let faults = faults.join("; ");
    line.maybe("error", Some(&*faults).filter(|text| !text.is_empty())).metric(Metric::Reconciled, sent as u64).emit();
}

fn result(lists: &[(Kind, Walked)]) -> Value {
    let result = |(kind, walked): &(Kind, Walked)| {
        let Walked { pages, entries, sent, finished, fault } = walked;
        let mut list = json!({"pages": pages, "entries": entries, "sent": sent, "finished": finished});
        if let Some(fault) = fault {
            list["skipped"] = fault.to_string().into();
        }
        (kind.as_str().to_owned(), list)
    };
    json!({"task": "reconcile", "lists": lists.iter().map(result).collect::<Map<_, _>>()})
}
