//! What came of a batch, in two lengths: `summary.json` in the bucket, and the few numbers that the ledger and the bus
//! carry.

use std::collections::BTreeMap;

use hooks_consumer::when;
use hooks_openai::{Batch, BatchError, RequestCounts};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::lines::{ErrorTally, Tally, Tokens};
use crate::transfer::Kept;

/// The shape of `summary.json`. It is raised when a field changes its meaning or goes; a new field does not count.
const VERSION: u32 = 1;

/// How many faults of a rejected input file are listed. OpenAI can find one in every line.
const MAX_BATCH_ERRORS: usize = 100;

/// The content of `summary.json`. Every field is always there, `null` where there is nothing to say.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    batch_id: &'a str,
    status: &'a str,
    endpoint: Option<&'a str>,
    model: Option<&'a str>,
    metadata: Option<&'a Value>,
    /// OpenAI's own times, and how long it took from beginning to end.
    times: Map<String, Value>,
    /// OpenAI's own counts of the requests.
    request_counts: Option<Counts>,
    /// Both files together, counted line by line.
    lines: &'a Tally,
    status_codes: BTreeMap<String, u64>,
    errors: &'a BTreeMap<String, ErrorTally>,
    tokens: &'a BTreeMap<String, Tokens>,
    /// OpenAI's own count of the tokens.
    usage: Option<&'a Value>,
    /// Why the batch as a whole failed.
    batch_errors: Vec<Value>,
    files: Files<'a>,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct Counts {
    total: u64,
    completed: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Files<'a> {
    input: Option<InputFile<'a>>,
    output: Option<KeptFile<'a>>,
    errors: Option<KeptFile<'a>>,
}

#[derive(Serialize)]
struct InputFile<'a> {
    file_id: &'a str,
}

#[derive(Serialize)]
struct KeptFile<'a> {
    file_id: &'a str,
    key: &'a str,
    lines: &'a Tally,
}

/// Everything that is known of a batch that has ended.
#[derive(Clone, Copy)]
pub(crate) struct Results<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) output: Option<&'a Kept>,
    pub(crate) errors: Option<&'a Kept>,
    /// Both files together.
    pub(crate) total: &'a Tally,
    pub(crate) note: Option<&'a str>,
}

impl Results<'_> {
    /// `summary.json`: indented for people, its fields in the order in which they are asked for.
    pub(crate) fn document(&self) -> Result<Vec<u8>, serde_json::Error> {
        let batch = self.batch;
        let document = Document {
            version: VERSION,
            batch_id: &batch.id,
            status: batch.status.as_str(),
            endpoint: batch.endpoint.as_deref(),
            model: batch.model.as_deref(),
            metadata: batch.raw.get("metadata"),
            times: self.times(),
            request_counts: batch.request_counts.map(|RequestCounts { total, completed, failed }| Counts {
                total,
                completed,
                failed,
            }),
            lines: self.total,
            status_codes: self.status_codes(),
            errors: &self.total.errors,
            tokens: &self.total.tokens,
            usage: batch.raw.get("usage"),
            batch_errors: batch.errors.iter().take(MAX_BATCH_ERRORS).map(batch_error).collect(),
            files: Files {
                input: batch.input_file_id.as_deref().map(|file_id| InputFile { file_id }),
                output: self.output.map(kept_file),
                errors: self.errors.map(kept_file),
            },
            note: self.note,
        };
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        Ok(text)
    }

    /// What the ledger and the bus carry.
    pub(crate) fn short(&self) -> Map<String, Value> {
        let mut summary = about(self.batch);
        let error_codes: BTreeMap<_, _> = self.total.errors.iter().map(|(code, errors)| (code, errors.count)).collect();
        summary.insert("lines".to_owned(), json!(self.total));
        summary.insert("status_codes".to_owned(), json!(self.status_codes()));
        summary.insert("error_codes".to_owned(), json!(error_codes));
        summary.insert("tokens".to_owned(), json!(self.total.tokens));
        summary
    }

    fn status_codes(&self) -> BTreeMap<String, u64> {
        self.total.status_codes.iter().map(|(status, count)| (status.to_string(), *count)).collect()
    }

    fn times(&self) -> Map<String, Value> {
        let known = self.batch.times.iter().map(|(name, at)| ((*name).to_owned(), when::moment(*at).into()));
        let took = self.batch.time("created_at").zip(ended_at(self.batch)).map(|(from, to)| to.saturating_sub(from));
        known.chain([("seconds".to_owned(), took.into())]).collect()
    }
}

/// What is known of a batch from its beginning.
pub(crate) fn about(batch: &Batch) -> Map<String, Value> {
    let metadata = batch.raw.get("metadata").filter(|metadata| metadata.as_object().is_some_and(|own| !own.is_empty()));
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let known = [("endpoint", text(&batch.endpoint)), ("model", text(&batch.model)), ("metadata", metadata.cloned())];
    known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// OpenAI's own counts of the requests, by name.
pub(crate) fn counts(batch: &Batch) -> Map<String, Value> {
    let Some(counts) = batch.request_counts else { return Map::new() };
    let named = [("total", counts.total), ("completed", counts.completed), ("failed", counts.failed)];
    named.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

/// When a batch came to its end, in seconds since the epoch.
pub(crate) fn ended_at(batch: &Batch) -> Option<i64> {
    ["completed_at", "failed_at", "expired_at", "cancelled_at"].into_iter().find_map(|name| batch.time(name))
}

fn kept_file(kept: &Kept) -> KeptFile<'_> {
    KeptFile { file_id: &kept.file_id, key: kept.key.as_str(), lines: &kept.tally }
}

fn batch_error(error: &BatchError) -> Value {
    json!({
        "code": error.code,
        "message": error.message.as_deref().map(hooks_openai::for_display),
        "param": error.param,
        "line": error.line,
    })
}
