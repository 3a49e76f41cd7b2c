//! Events by the metadata of their objects, which the index does not have.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use hooks_aws::ledger::value::{plain, read_text, text};
use hooks_aws::ledger::{Item, Ledger};

use super::Entry;
use crate::error::{LEDGER_PERMISSIONS, OperateError, Result, failed};

/// Maximum number of items in a call.
const BATCH: usize = 100;

/// Number of times that a call is repeated for what `DynamoDB` left out of its answer, which it does at 16 MB.
const ROUNDS: usize = 50;

/// Keeps the entries whose object has these metadata. Needs `dynamodb:BatchGetItem` on the table.
pub(super) async fn matching(
    ledger: &Ledger,
    entries: Vec<Entry>,
    metadata: &[(String, String)],
) -> Result<Vec<Entry>> {
    if metadata.is_empty() {
        return Ok(entries);
    }
    let mut found = HashSet::new();
    for batch in entries.chunks(BATCH) {
        let keys = batch.iter().map(|entry| format!("event#{}", entry.key()));
        for item in items(ledger, keys).await? {
            let of_object = item.get("summary").map(plain);
            let has = |(name, value): &(String, String)| {
                of_object.as_ref().and_then(|summary| summary.get("metadata")?.get(name)?.as_str()) == Some(value)
            };
            if metadata.iter().all(has) {
                found.extend(read_text(&item, "pk").map(str::to_owned));
            }
        }
    }
    Ok(entries.into_iter().filter(|entry| found.contains(&format!("event#{}", entry.key()))).collect())
}

async fn items(ledger: &Ledger, keys: impl Iterator<Item = String>) -> Result<Vec<Item>> {
    let key = |pk: String| HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text("event"))]);
    let mut wanted: Vec<HashMap<String, AttributeValue>> = keys.map(key).collect();
    let mut items = Vec::new();
    for _ in 0..ROUNDS {
        if wanted.is_empty() {
            break;
        }
        let request = KeysAndAttributes::builder()
            .set_keys(Some(wanted))
            .projection_expression("pk, #summary.#metadata")
            .expression_attribute_names("#summary", "summary")
            .expression_attribute_names("#metadata", "metadata")
            .build()
            .map_err(|error| OperateError::failed(error.to_string()))?;
        let answer = ledger.client().batch_get_item().request_items(ledger.table(), request).send().await;
        let answer = answer.map_err(|error| failed("look up the events' metadata", &error, LEDGER_PERMISSIONS))?;
        items.extend(answer.responses.unwrap_or_default().into_values().flatten());
        let left = answer.unprocessed_keys.unwrap_or_default().into_values();
        wanted = left.flat_map(|left| left.keys).collect();
    }
    Ok(items)
}
