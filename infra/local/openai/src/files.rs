//! `/v1/files`: upload, metadata, content, delete, list.

mod content;
mod upload;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use self::content::{Content, lines_of};
pub(crate) use self::upload::LIFE_RANGE;
use crate::app::Shared;
use crate::errors::{ApiError, ControlError};
use crate::ids::{file_id, now};
use crate::shelf::{Identified, Order, Page, Shelf};

/// Files that a batch reads or wrote expire after 30 days unless told otherwise.
pub(crate) const BATCH_FILE_LIFE_SECONDS: i64 = 30 * 24 * 3600;

/// The most, and the default, of a list of files.
const MAX_PAGE: usize = 10_000;

pub(crate) type Files = Shelf<File>;

/// A file as OpenAI shows it, and what is in it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct File {
    object: &'static str,
    pub(crate) id: String,
    pub(crate) purpose: String,
    pub(crate) filename: String,
    bytes: u64,
    created_at: i64,
    expires_at: Option<i64>,
    status: &'static str,
    status_details: Option<String>,
    #[serde(skip)]
    pub(crate) content: Content,
}

impl File {
    /// A new file; `life` in seconds.
    pub(crate) fn new(purpose: &str, filename: &str, content: Content, life: Option<i64>) -> Self {
        let created_at = now();
        Self {
            object: "file",
            id: file_id(),
            purpose: purpose.to_owned(),
            filename: filename.to_owned(),
            bytes: content.len(),
            created_at,
            expires_at: life.map(|seconds| created_at + seconds),
            status: "processed",
            status_details: None,
            content,
        }
    }
}

impl Identified for File {
    fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/files", get(list).post(upload::upload).layer(DefaultBodyLimit::disable()))
        .route("/v1/files/{id}", get(retrieve).delete(delete))
        .route("/v1/files/{id}/content", get(content))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/files", post(register).layer(DefaultBodyLimit::disable()))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("No such File object: {id}")).param("id")
}

async fn retrieve(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<File>, ApiError> {
    app.files.get(&id).map(Json).ok_or_else(|| missing(&id))
}

async fn delete(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.files.remove(&id).ok_or_else(|| missing(&id))?;
    Ok(Json(json!({ "object": "file", "deleted": true, "id": id })))
}

async fn content(State(app): State<Shared>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let file = app.files.get(&id).ok_or_else(|| missing(&id))?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, file.bytes.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file.filename.escape_default())),
    ];
    Ok((headers, file.content.into_body()).into_response())
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    order: Order,
    purpose: Option<String>,
}

async fn list(State(app): State<Shared>, Query(query): Query<ListQuery>) -> Result<Json<Page<File>>, ApiError> {
    let limit = query.limit.unwrap_or(MAX_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::invalid_value("limit", format!("'limit' must be between 1 and {MAX_PAGE}.")));
    }
    let after = query.after.as_deref();
    let wanted = |file: &File| query.purpose.as_ref().is_none_or(|purpose| *purpose == file.purpose);
    app.files.page(after, limit, query.order, wanted).map(Json).ok_or_else(|| missing(after.unwrap_or_default()))
}

/// A file put there without an upload: text as it stands, or a line repeated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    #[serde(default = "batch_output")]
    purpose: String,
    #[serde(default = "output_jsonl")]
    filename: String,
    text: Option<String>,
    line: Option<String>,
    lines: Option<u64>,
}

fn batch_output() -> String {
    "batch_output".to_owned()
}

fn output_jsonl() -> String {
    "output.jsonl".to_owned()
}

async fn register(
    State(app): State<Shared>,
    Json(registration): Json<Registration>,
) -> Result<Json<File>, ControlError> {
    let content = match (registration.text, registration.line, registration.lines) {
        (Some(text), None, None) => Content::Stored(Bytes::from(text)),
        (None, Some(line), Some(lines)) => Content::repeated(&line, lines)
            .ok_or_else(|| ControlError::invalid("so many lines of this length make more bytes than can be counted"))?,
        _ => return Err(ControlError::invalid("give either \"text\", or \"line\" and \"lines\"")),
    };
    let file = File::new(&registration.purpose, &registration.filename, content, Some(BATCH_FILE_LIFE_SECONDS));
    app.files.insert(file.clone());
    Ok(Json(file))
}

#[cfg(test)]
mod tests;
