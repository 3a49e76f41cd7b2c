//! Style and scripts, in the binary. Each is served under its hash, for ever.

use std::sync::OnceLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::encode::gzip;
use super::tokens::hash;
use crate::view::layout::BASE;

/// A file, compressed once.
pub(crate) struct Asset {
    /// Its path, with its hash.
    pub(crate) path: String,
    content_type: &'static str,
    compressed: Vec<u8>,
}

impl Asset {
    fn new(name: &str, ending: &str, content_type: &'static str, content: &str) -> Self {
        let path = format!("{BASE}/assets/{name}-{}.{ending}", &hash(content)[..16]);
        Self { path, content_type, compressed: gzip(content.as_bytes()) }
    }
}

pub(crate) fn css() -> &'static Asset {
    static ASSET: OnceLock<Asset> = OnceLock::new();
    ASSET.get_or_init(|| {
        Asset::new("console", "css", "text/css; charset=utf-8", include_str!("../../assets/console.css"))
    })
}

pub(crate) fn script() -> &'static Asset {
    static ASSET: OnceLock<Asset> = OnceLock::new();
    ASSET.get_or_init(|| Asset::new("console", "js", JAVASCRIPT, include_str!("../../assets/console.js")))
}

/// htmx 2.0.11, under the Zero-Clause BSD licence, which lies beside it.
pub(crate) fn htmx() -> &'static Asset {
    static ASSET: OnceLock<Asset> = OnceLock::new();
    ASSET.get_or_init(|| Asset::new("htmx", "js", JAVASCRIPT, include_str!("../../assets/htmx-2.0.11.min.js")))
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers a path below `assets/`, if it is one of ours with its present hash.
pub(crate) fn answer(path: &str) -> Response {
    let Some(asset) = [css(), script(), htmx()].into_iter().find(|asset| asset.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Every browser since 1998 takes gzip.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::CONTENT_ENCODING, HeaderValue::from_static("gzip")),
    ];
    (headers, asset.compressed.clone()).into_response()
}
