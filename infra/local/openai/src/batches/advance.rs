//! The command that moves a batch along its life, makes its files, and sends its webhook.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{Batch, BatchError, Counts, Errors, FileId, Status};
use super::output::{Derived, Plan, derive};
use crate::app::Shared;
use crate::errors::ControlError;
use crate::files::{Content, File};
use crate::ids::now;
use crate::webhooks::{Event, Scope};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    status: Status,
    /// What becomes of each line of the input.
    #[serde(default)]
    plan: Plan,
    /// Files that are there already, instead of ones derived from the input; the empty string stands as it is.
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    /// How the batch says that a file is not there.
    #[serde(default)]
    absent_file_ids: Absent,
    /// Instead of the derived ones.
    request_counts: Option<Counts>,
    /// Batches from before September 2025 have no usage.
    #[serde(default = "crate::webhooks::yes")]
    usage: bool,
    /// Of a failed batch, instead of the usual one.
    errors: Option<Vec<BatchError>>,
    /// How long ago it became so.
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

impl Absent {
    fn file_id(self) -> FileId {
        match self {
            Self::Null => FileId::Null,
            Self::Omit => FileId::Omitted,
            Self::Empty => FileId::Text(String::new()),
        }
    }
}

pub(super) async fn advance(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Json(command): Json<Advance>,
) -> Result<(StatusCode, Json<Value>), ControlError> {
    let deliver = command.deliver;
    let batch = app
        .batches
        .update(&id, |batch| command.apply(&app, batch).map(|()| batch.clone()))
        .ok_or_else(|| ControlError::not_found(format!("no batch {id}")))??;
    let deliveries = if deliver && batch.status.is_terminal() {
        let event = Event::thin(format!("batch.{}", batch.status), &batch.id);
        app.webhooks.send(Scope::Project, event)
    } else {
        Vec::new()
    };
    Ok((StatusCode::OK, Json(json!({ "batch": batch, "deliveries": deliveries }))))
}

impl Advance {
    fn apply(self, app: &Shared, batch: &mut Batch) -> Result<(), ControlError> {
        self.check(batch.status)?;
        let input = app
            .files
            .get(&batch.input_file_id)
            .ok_or_else(|| ControlError::conflict("the batch's input file was deleted"))?;
        let mut counts = Counts { total: input.content.lines(), ..batch.request_counts };
        match self.status {
            Status::Completed | Status::Expired | Status::Cancelled => {
                if self.output_file_id.is_some() || self.error_file_id.is_some() {
                    let named = |id: &Option<String>| id.as_deref().map_or(Ok(0), |id| lines_in(app, id));
                    counts.completed = named(&self.output_file_id)?;
                    counts.failed = named(&self.error_file_id)?;
                    batch.output_file_id = self.file_id(self.output_file_id.clone());
                    batch.error_file_id = self.file_id(self.error_file_id.clone());
                } else {
                    let derived =
                        derive(&input.content, &batch.endpoint, &self.plan).map_err(ControlError::conflict)?;
                    counts.completed = derived.completed;
                    counts.failed = derived.failed;
                    self.keep(app, batch, derived);
                }
            }
            Status::Failed => {
                counts = Counts::default();
                batch.errors = Some(Errors::new(self.errors.clone().unwrap_or_else(usual_errors)));
            }
            Status::Validating | Status::InProgress | Status::Finalizing | Status::Cancelling => {}
        }
        batch.request_counts = self.request_counts.unwrap_or(counts);
        batch.reach(self.status, now() - self.age_seconds);
        Ok(())
    }

    fn check(&self, current: Status) -> Result<(), ControlError> {
        if matches!(self.status, Status::Validating | Status::Cancelling) {
            return Err(ControlError::invalid(format!(
                "a batch becomes {} by OpenAI's own calls, not by this command",
                self.status
            )));
        }
        // In progress to in progress reports progress; everything else goes forward only.
        if current.is_terminal() || self.status < current {
            return Err(ControlError::conflict(format!("the batch is {current}; it can't become {}", self.status)));
        }
        Ok(())
    }

    fn file_id(&self, id: Option<String>) -> FileId {
        id.map_or_else(|| self.absent_file_ids.file_id(), FileId::Text)
    }

    fn keep(&self, app: &Shared, batch: &mut Batch, derived: Derived) {
        let insert = |kind: &str, bytes: bytes::Bytes| {
            (!bytes.is_empty()).then(|| {
                let name = format!("{}_{kind}.jsonl", batch.id);
                let file = File::new("batch_output", &name, Content::Stored(bytes), Some(batch.output_life));
                let id = file.id.clone();
                app.files.insert(file);
                id
            })
        };
        let (output, errors) = (insert("output", derived.output), insert("error", derived.errors));
        batch.output_file_id = self.file_id(output);
        batch.error_file_id = self.file_id(errors);
        batch.model = derived.model;
        batch.usage = self.usage.then_some(derived.usage);
    }
}

fn lines_in(app: &Shared, id: &str) -> Result<u64, ControlError> {
    if id.is_empty() {
        return Ok(0);
    }
    let file = app.files.get(id).ok_or_else(|| ControlError::not_found(format!("no file {id}; register it first")))?;
    Ok(file.content.lines())
}

fn usual_errors() -> Vec<BatchError> {
    vec![BatchError {
        code: "invalid_json_line".to_owned(),
        message: "This line is not parseable as valid JSON.".to_owned(),
        param: None,
        line: Some(1),
    }]
}
