//! The command that advances a batch, writes its files and sends its webhook.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::output::{Plan, derive};
use super::{Batch, Batches, Status};
use crate::errors::ControlError;
use crate::files::{Content, File, Files};
use crate::ids::{name, now};
use crate::webhooks::Event;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    status: Status,
    /// The outcome of each line of the input.
    #[serde(default)]
    plan: Plan,
    /// Existing files instead of derived ones; the empty string is used as given.
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    /// How the batch shows a file that does not exist.
    #[serde(default)]
    absent_file_ids: Absent,
    /// Instead of the derived counts.
    request_counts: Option<Counts>,
    /// Batches from before September 2025 have no usage.
    #[serde(default = "crate::webhooks::yes")]
    usage: bool,
    /// The errors of a failed batch.
    errors: Option<Vec<Value>>,
    /// How long ago the batch reached the status.
    #[serde(default)]
    age_seconds: i64,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Absent {
    #[default]
    Null,
    Omit,
    Empty,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    total: u64,
    completed: u64,
    failed: u64,
}

pub(super) async fn advance(
    State(batches): State<Batches>,
    Path(id): Path<String>,
    Json(command): Json<Advance>,
) -> Result<Json<Value>, ControlError> {
    let (batch, deliver) = batches.store.update(&id, |batch| command.apply(&batches.files, batch))?;
    let event = Event::thin(format!("batch.{}", name(batch.state.status)), &batch.id);
    let deliveries = batches.webhooks.send_if(deliver && batch.state.status.is_terminal(), event);
    Ok(Json(json!({ "batch": batch, "deliveries": deliveries })))
}

impl Advance {
    /// Whether the webhook is to be delivered.
    fn apply(self, files: &Files, batch: &mut Batch) -> Result<bool, ControlError> {
        self.check(batch.state.status)?;
        let input = files.get(batch.shown["input_file_id"].as_str().unwrap_or_default());
        let input = input.map_err(|_| ControlError::conflict("the batch's input file was deleted"))?.state;
        let mut counts: Counts = serde_json::from_value(batch.shown["request_counts"].take()).unwrap_or_default();
        counts.total = input.lines();
        match self.status {
            Status::Failed => {
                counts = Counts::default();
                let message = "This line is not parseable as valid JSON.";
                let usual = json!({ "code": "invalid_json_line", "message": message, "param": null, "line": 1 });
                let errors = self.errors.unwrap_or_else(|| vec![usual]);
                batch.set("errors", json!({ "object": "list", "data": errors }));
            }
            status if !status.is_terminal() => {}
            _ if self.output_file_id.is_some() || self.error_file_id.is_some() => {
                counts.completed = lines_in(files, self.output_file_id.as_deref())?;
                counts.failed = lines_in(files, self.error_file_id.as_deref())?;
                self.absent_file_ids.set(batch, "output_file_id", self.output_file_id);
                self.absent_file_ids.set(batch, "error_file_id", self.error_file_id);
            }
            _ => {
                let endpoint = batch.shown["endpoint"].as_str().unwrap_or_default();
                let derived = derive(&input, endpoint, &self.plan).map_err(ControlError::conflict)?;
                (counts.completed, counts.failed) = (derived.completed, derived.failed);
                for (kind, bytes) in [("output", derived.output), ("error", derived.errors)] {
                    let file = (!bytes.is_empty()).then(|| {
                        let filename = format!("{}_{kind}.jsonl", batch.id);
                        let lifetime = Some(batch.state.output_lifetime);
                        files.insert(File::create("batch_output", &filename, Content::Stored(bytes), lifetime)).id
                    });
                    self.absent_file_ids.set(batch, &format!("{kind}_file_id"), file);
                }
                batch.set("model", derived.model);
                if self.usage {
                    batch.set("usage", derived.usage.to_json());
                }
            }
        }
        batch.set("request_counts", json!(self.request_counts.unwrap_or(counts)));
        batch.reach(self.status, now() - self.age_seconds);
        Ok(self.deliver)
    }

    fn check(&self, current: Status) -> Result<(), ControlError> {
        let (from, to) = (name(current), name(self.status));
        if matches!(self.status, Status::Validating | Status::Cancelling) {
            return Err(ControlError::invalid(format!("only calls of OpenAI's API make a batch {to}")));
        }
        // In progress to in progress reports progress; everything else goes forward only.
        if current.is_terminal() || self.status < current {
            return Err(ControlError::conflict(format!("the batch is {from}; it cannot become {to}")));
        }
        Ok(())
    }
}

impl Absent {
    fn set(self, batch: &mut Batch, field: &str, id: Option<String>) {
        match (id, self) {
            (Some(id), _) => batch.set(field, id),
            (None, Self::Null) => batch.set(field, Value::Null),
            (None, Self::Empty) => batch.set(field, ""),
            (None, Self::Omit) => {
                batch.shown.as_object_mut().map(|shown| shown.remove(field));
            }
        }
    }
}

fn lines_in(files: &Files, file_id: Option<&str>) -> Result<u64, ControlError> {
    match file_id {
        None | Some("") => Ok(0),
        Some(id) => Ok(files.get(id)?.state.lines()),
    }
}
