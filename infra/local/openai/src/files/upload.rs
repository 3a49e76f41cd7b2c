//! `POST /v1/files`: the multipart form.

use axum::Json;
use axum::extract::State;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};

use super::{BATCH_FILE_LIFETIME_SECONDS, Content, File, Files};
use crate::errors::ApiError;

/// The purposes that a file may be uploaded for.
const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// The size limit of a file, bytes.
const MAX_FILE: usize = 512 * 1024 * 1024;

/// The size limit of a file with purpose `batch`, bytes.
const MAX_BATCH_FILE: usize = 200 * 1024 * 1024;

/// The range of `expires_after`, seconds.
pub(crate) const LIFETIME_SECONDS: std::ops::RangeInclusive<i64> = 3600..=2_592_000;

#[derive(Default)]
struct Form {
    file: Option<(String, Bytes)>,
    purpose: Option<String>,
    lifetime: Option<String>,
}

pub(super) async fn upload(State(files): State<Files>, form: Multipart) -> Result<Json<File>, ApiError> {
    let form = read(form).await?;
    let purpose = form.purpose.ok_or_else(|| ApiError::missing_parameter("purpose"))?;
    if !PURPOSES.contains(&purpose.as_str()) {
        return Err(ApiError::unsupported_value("purpose", &purpose, &PURPOSES));
    }
    let (filename, bytes) = form.file.ok_or_else(|| ApiError::missing_parameter("file"))?;
    if purpose == "batch" && bytes.len() > MAX_BATCH_FILE {
        return Err(too_large(MAX_BATCH_FILE));
    }
    let lifetime = match form.lifetime {
        Some(text) => Some(parse_lifetime(&text)?),
        None => (purpose == "batch").then_some(BATCH_FILE_LIFETIME_SECONDS),
    };
    Ok(Json(files.insert(File::create(&purpose, &filename, Content::Stored(bytes), lifetime))))
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
            Some("expires_after[seconds]") => form.lifetime = Some(field.text().await.map_err(malformed)?),
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

fn parse_lifetime(text: &str) -> Result<i64, ApiError> {
    text.parse().ok().filter(|seconds| LIFETIME_SECONDS.contains(seconds)).ok_or_else(|| {
        let (least, most) = (LIFETIME_SECONDS.start(), LIFETIME_SECONDS.end());
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
