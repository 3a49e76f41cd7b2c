//! The results of a batch in two lengths: `summary.json` in the bucket, and the few numbers in the ledger and on the
//! bus.

use std::collections::BTreeMap;

use hooks_consumer::object::{copied, present};
use hooks_consumer::text;
use hooks_openai::{Batch, BatchError, Json};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::counts::{Counts, of_openai};
use crate::lines::{ErrorTally, Tally, Tokens};
use crate::transfer::StoredFile;

/// Version of the shape of `summary.json`. It increases when a field is removed or changes its meaning.
const VERSION: u32 = 1;

/// The content of `summary.json`. Every field is always present, `null` if it has no value.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    batch_id: &'a str,
    status: &'a str,
    endpoint: Option<&'a str>,
    model: Option<&'a str>,
    metadata: Option<Box<RawValue>>,
    /// OpenAI's times, and the duration from creation to end.
    times: Map<String, Value>,
    /// OpenAI's counts of the requests.
    request_counts: Option<Map<String, Value>>,
    /// The numbers by the lines.
    counts: Counts,
    /// The counts of both files together.
    lines: &'a Tally,
    status_codes: BTreeMap<String, u64>,
    errors: &'a BTreeMap<String, ErrorTally>,
    tokens: &'a BTreeMap<String, Tokens>,
    /// OpenAI's count of the tokens.
    usage: Option<Box<RawValue>>,
    /// Why the batch as a whole failed: the first errors, and the number of all.
    batch_errors: Vec<Value>,
    batch_error_count: usize,
    files: Files<'a>,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct Files<'a> {
    input: Option<Value>,
    output: Option<&'a StoredFile>,
    errors: Option<&'a StoredFile>,
}

/// A batch that has ended, with its stored files.
#[derive(Clone, Copy)]
pub(crate) struct Results<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) output: Option<&'a StoredFile>,
    pub(crate) errors: Option<&'a StoredFile>,
    /// The counts of both files together.
    pub(crate) total: &'a Tally,
    pub(crate) counts: Counts,
    pub(crate) note: Option<&'a str>,
}

impl Results<'_> {
    /// The content of `summary.json`, indented for people.
    pub(crate) fn document(&self) -> Result<Vec<u8>, serde_json::Error> {
        let batch = self.batch;
        let exact = |name| batch.raw().get(name).and_then(Json::exact);
        let document = Document {
            version: VERSION,
            batch_id: &batch.id,
            status: batch.status.as_str(),
            endpoint: batch.endpoint.as_deref(),
            model: batch.model.as_deref(),
            metadata: exact("metadata"),
            times: self.times(),
            request_counts: batch.request_counts.map(|_| of_openai(batch)),
            counts: self.counts,
            lines: self.total,
            status_codes: self.status_codes(),
            errors: &self.total.errors,
            tokens: &self.total.tokens,
            usage: exact("usage"),
            batch_errors: batch.errors.iter().map(batch_error).collect(),
            batch_error_count: batch.error_count,
            files: Files {
                input: batch.input_file_id.as_deref().map(|file_id| json!({"file_id": file_id})),
                output: self.output,
                errors: self.errors,
            },
            note: self.note,
        };
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The summary for the ledger and the bus.
    pub(crate) fn short(&self) -> Map<String, Value> {
        let mut summary = description(self.batch);
        let error_codes: BTreeMap<_, _> = self.total.errors.iter().map(|(code, errors)| (code, errors.count)).collect();
        summary.insert("lines".to_owned(), json!(self.total));
        summary.extend(present([("disagreement", self.counts.disagreement(self.batch))]));
        summary.insert("status_codes".to_owned(), json!(self.status_codes()));
        summary.insert("error_codes".to_owned(), json!(error_codes));
        summary.insert("tokens".to_owned(), json!(self.total.tokens));
        summary
    }

    fn status_codes(&self) -> BTreeMap<String, u64> {
        self.total.status_codes.iter().map(|(status, count)| (status.to_string(), *count)).collect()
    }

    fn times(&self) -> Map<String, Value> {
        let known = self.batch.times.iter().map(|(name, at)| ((*name).to_owned(), text::moment(*at).into()));
        let took = self.batch.time("created_at").zip(ended_at(self.batch)).map(|(from, to)| to.saturating_sub(from));
        known.chain([("seconds".to_owned(), took.into())]).collect()
    }
}

/// The part of the summary that a batch has from the beginning.
pub(crate) fn description(batch: &Batch) -> Map<String, Value> {
    let mut description = present([("endpoint", batch.endpoint.as_deref()), ("model", batch.model.as_deref())]);
    description.extend(copied(batch.raw(), ["metadata"]).into_iter().filter(|(_, metadata)| metadata.is_object()));
    description
}

/// The end of a batch, in Unix seconds.
pub(crate) fn ended_at(batch: &Batch) -> Option<i64> {
    ["completed_at", "failed_at", "expired_at", "cancelled_at"].into_iter().find_map(|name| batch.time(name))
}

fn batch_error(error: &BatchError) -> Value {
    json!({
        "code": error.code,
        "message": error.message.as_deref().map(hooks_openai::for_display),
        "param": error.param,
        "line": error.line,
    })
}
