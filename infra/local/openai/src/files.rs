//! `/v1/files`: upload, metadata, content, delete, list; and the command that adds a file without an upload.

mod content;
mod upload;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use self::content::{Content, lines_of};
pub(crate) use self::upload::LIFETIME_SECONDS;
use crate::errors::{ApiError, ControlError};
use crate::ids::{alphanumeric_id, now};
use crate::store::{ListQuery, Object, Page, PageSize, Store};

/// Input and output files of batches expire after 30 days unless a request says otherwise.
pub(crate) const BATCH_FILE_LIFETIME_SECONDS: i64 = 30 * 24 * 3600;

const PAGE: PageSize = PageSize(10_000, 10_000);

pub(crate) type File = Object<Content>;
pub(crate) type Files = Arc<Store<Content>>;

pub(crate) fn files() -> Files {
    Store::new(|id| ApiError::not_found(format!("No such File object: {id}")).param("id"))
}

impl File {
    /// A new file; `lifetime` in seconds.
    pub(crate) fn create(purpose: &str, filename: &str, content: Content, lifetime: Option<i64>) -> Self {
        let created_at = now();
        let shown = json!({
            "object": "file", "id": alphanumeric_id("file-", 22), "purpose": purpose, "filename": filename,
            "bytes": content.len(), "status": "processed", "status_details": null,
            "created_at": created_at, "expires_at": lifetime.map(|seconds| created_at + seconds),
        });
        Self::new(shown, content)
    }
}

/// The file that a request names, if it was uploaded for this purpose.
pub(crate) fn input_file(files: &Files, id: &str, param: &'static str, purpose: &str) -> Result<File, ApiError> {
    let no_file = |_| ApiError::invalid(format!("No such File object: {id}")).param(param);
    let file = files.get(id).map_err(no_file)?;
    match file.shown["purpose"].as_str().unwrap_or_default() {
        given if given == purpose => Ok(file),
        given => Err(ApiError::invalid_value(
            param,
            format!("Invalid file purpose: '{given}'. The file must be uploaded with purpose '{purpose}'."),
        )),
    }
}

pub(crate) fn api(files: &Files) -> Router {
    Router::new()
        .route("/v1/files", get(list).post(upload::upload).layer(DefaultBodyLimit::disable()))
        .route("/v1/files/{id}", files.retrieve().delete(delete))
        .route("/v1/files/{id}/content", get(content))
        .with_state(Arc::clone(files))
}

pub(crate) fn control(files: &Files) -> Router {
    let add = post(add).layer(DefaultBodyLimit::disable());
    Router::new().route("/files", add).with_state(Arc::clone(files))
}

async fn delete(State(files): State<Files>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    files.remove(&id)?;
    Ok(Json(json!({ "object": "file", "deleted": true, "id": id })))
}

async fn content(State(files): State<Files>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let file = files.get(&id)?;
    let filename = file.shown["filename"].as_str().unwrap_or_default().escape_default();
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, file.state.len().to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{filename}\"")),
    ];
    Ok((headers, file.state.into_body()).into_response())
}

async fn list(State(files): State<Files>, query: ListQuery) -> Result<Json<Page>, ApiError> {
    files.list(&query, PAGE, |file| query.get("purpose").is_none_or(|purpose| file.shown["purpose"] == purpose))
}

/// A file without an upload: a text, or a repeated line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddFile {
    purpose: Option<String>,
    filename: Option<String>,
    text: Option<String>,
    line: Option<String>,
    lines: Option<u64>,
}

async fn add(State(files): State<Files>, Json(command): Json<AddFile>) -> Result<Json<File>, ControlError> {
    let content = match (command.text, command.line, command.lines) {
        (Some(text), None, None) => Content::Stored(Bytes::from(text)),
        (None, Some(line), Some(lines)) => Content::repeated(&line, lines)
            .ok_or_else(|| ControlError::invalid("the file would have more bytes than a 64-bit number can count"))?,
        _ => return Err(ControlError::invalid("give either \"text\", or \"line\" and \"lines\"")),
    };
    let purpose = command.purpose.as_deref().unwrap_or("batch_output");
    let filename = command.filename.as_deref().unwrap_or("output.jsonl");
    Ok(Json(files.insert(File::create(purpose, filename, content, Some(BATCH_FILE_LIFETIME_SECONDS)))))
}

#[cfg(test)]
mod tests;
