//! `POST /v1/files`: the multipart form.

use axum::Json;
use axum::extract::State;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};

use super::{BATCH_FILE_LIFE_SECONDS, Content, File};
use crate::app::Shared;
use crate::errors::ApiError;

/// What a file may be uploaded for.
const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// The most bytes of one file.
const MAX_FILE: usize = 512 * 1024 * 1024;

/// The most bytes of a file for a batch.
const MAX_BATCH_FILE: usize = 200 * 1024 * 1024;

/// The shortest and the longest life that can be asked for, seconds.
pub(crate) const LIFE_RANGE: std::ops::RangeInclusive<i64> = 3600..=2_592_000;

#[derive(Default)]
struct Form {
    file: Option<(String, Bytes)>,
    purpose: Option<String>,
    life: Option<String>,
}

pub(super) async fn upload(State(app): State<Shared>, form: Multipart) -> Result<Json<File>, ApiError> {
    let form = read(form).await?;
    let purpose = form.purpose.ok_or_else(|| ApiError::missing_parameter("purpose"))?;
    if !PURPOSES.contains(&purpose.as_str()) {
        let allowed = PURPOSES.map(|purpose| format!("'{purpose}'")).join(", ");
        return Err(ApiError::invalid_value(
            "purpose",
            format!("Invalid value: '{purpose}'. Supported values are: {allowed}."),
        ));
    }
    let (filename, bytes) = form.file.ok_or_else(|| ApiError::missing_parameter("file"))?;
    if purpose == "batch" && bytes.len() > MAX_BATCH_FILE {
        return Err(too_large(MAX_BATCH_FILE));
    }
    let life = match form.life {
        Some(text) => Some(parse_life(&text)?),
        None => (purpose == "batch").then_some(BATCH_FILE_LIFE_SECONDS),
    };
    let file = File::new(&purpose, &filename, Content::Stored(bytes), life);
    app.files.insert(file.clone());
    Ok(Json(file))
}

async fn read(mut multipart: Multipart) -> Result<Form, ApiError> {
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        match field.name() {
            Some("file") => {
                let filename = field.file_name().unwrap_or("upload").to_owned();
                form.file = Some((filename, read_file(field).await?));
            }
            Some("purpose") => form.purpose = Some(field.text().await.map_err(malformed)?),
            Some("expires_after[seconds]") => form.life = Some(field.text().await.map_err(malformed)?),
            _ => {}
        }
    }
    Ok(form)
}

async fn read_file(mut field: Field<'_>) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(malformed)? {
        if bytes.len() + chunk.len() > MAX_FILE {
            return Err(too_large(MAX_FILE));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn parse_life(text: &str) -> Result<i64, ApiError> {
    text.parse().ok().filter(|seconds| LIFE_RANGE.contains(seconds)).ok_or_else(|| {
        let (least, most) = (LIFE_RANGE.start(), LIFE_RANGE.end());
        ApiError::invalid_value("expires_after", format!("'expires_after.seconds' must be from {least} to {most}."))
    })
}

fn too_large(limit: usize) -> ApiError {
    ApiError::invalid(format!("File is too large: at most {} MB.", limit / 1024 / 1024))
        .status(StatusCode::PAYLOAD_TOO_LARGE)
}

#[expect(clippy::needless_pass_by_value, reason = "it serves as an argument of map_err")]
fn malformed(error: MultipartError) -> ApiError {
    ApiError::invalid(format!("The multipart form could not be read: {error}"))
}
