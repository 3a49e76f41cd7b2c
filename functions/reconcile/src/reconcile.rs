//! The task `reconcile`: a scan of OpenAI's lists for missed events.

use std::collections::BTreeMap;

use hooks_function::Error;
use hooks_telemetry::{Line, Metric};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::alert;
use crate::error::ReconcileError;
use crate::list::OpenAiList;
use crate::list_scan::{Limits, ListScan, ScanResult};
use crate::models;
use crate::services::Services;

/// Scans every list, and looks at the promoted models. An error in one does not stop the others; an error of OpenAI or
/// AWS fails the invocation in the end, so that Lambda retries and an alarm sees it when that does not help.
pub(crate) async fn run(services: &Services, now: i64, until: Instant) -> Result<Value, Error> {
    let openai = match services.api_key.client().await.map_err(ReconcileError::from) {
        Ok(openai) => openai,
        Err(error) if error.is_setup() => {
            Line::warn(&format!("nothing was reconciled: {error}")).metric(Metric::Reconciled, 0).emit();
            return Ok(json!({"task": "reconcile", "skipped": error.to_string()}));
        }
        Err(error) => return Err(error.into()),
    };
    let mut lists = Vec::new();
    for (position, list) in OpenAiList::ALL.into_iter().enumerate() {
        // What remains shares the remaining time, the models too, so that a long list leaves the others theirs.
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(OpenAiList::ALL.len() + 1 - position).unwrap_or(1);
        let (store, until) = (&services.reconciler, Instant::now() + share);
        let scan = ListScan { list, openai: &openai, store, limits: Limits::DEFAULT, now, until };
        lists.push((list, scan.run().await));
    }
    log(&lists);
    let sent = lists.iter().map(|(list, result)| (list.as_str(), result.sent)).filter(|(_, sent)| *sent > 0).collect();
    let told =
        if BTreeMap::is_empty(&sent) { Ok(()) } else { services.reconciler.alert(&alert::webhooks_lost(&sent)).await };
    let models = models::run(services, &openai, now, until).await;
    let mut failed: Vec<String> = lists.iter().filter_map(|(list, result)| failure(*list, result)).collect();
    failed.extend(told.err().map(|error| error.to_string()));
    failed.extend(models.as_ref().err().map(|error| format!("models: {error}")));
    match models {
        Ok(models) if failed.is_empty() => Ok(result(&lists, models)),
        _ => Err(failed.join("; ").into()),
    }
}

fn failure(list: OpenAiList, result: &ScanResult) -> Option<String> {
    let error = result.error.as_ref().filter(|error| !error.is_setup())?;
    Some(format!("{}: {error}", list.as_str()))
}

fn log(lists: &[(OpenAiList, ScanResult)]) {
    let errors: Vec<String> = lists
        .iter()
        .filter_map(|(list, result)| Some(format!("{}: {}", list.as_str(), result.error.as_ref()?)))
        .collect();
    let sent: usize = lists.iter().map(|(_, result)| result.sent).sum();
    let mut line = if errors.is_empty() { Line::info("reconciled") } else { Line::warn("reconciled in part") };
    for (list, result) in lists {
        let name = list.as_str();
        line = line.number(&format!("{name}.entries"), result.entries as u64);
        line = line.number(&format!("{name}.sent"), result.sent as u64);
    }
    let errors = errors.join("; ");
    line.maybe("error", Some(&*errors).filter(|text| !text.is_empty())).metric(Metric::Reconciled, sent as u64).emit();
}

fn result(lists: &[(OpenAiList, ScanResult)], models: usize) -> Value {
    let of_list = |(list, result): &(OpenAiList, ScanResult)| {
        let ScanResult { pages, entries, sent, finished, error } = result;
        let mut json = json!({"pages": pages, "entries": entries, "sent": sent, "finished": finished});
        if let Some(error) = error {
            json["skipped"] = error.to_string().into();
        }
        (list.as_str().to_owned(), json)
    };
    json!({"task": "reconcile", "lists": lists.iter().map(of_list).collect::<Map<_, _>>(), "models": models})
}
