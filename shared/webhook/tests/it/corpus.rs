//! Reads the conformance corpus.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooks_webhook::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

/// Every section there must be: one for each decision of the check.
pub(crate) const SECTIONS: [&str; 11] = [
    "body",
    "compare",
    "headers",
    "keys",
    "official",
    "order",
    "secret",
    "signatures",
    "timestamp",
    "timestamped-hex",
    "window",
];

#[derive(Deserialize)]
pub(crate) struct Section {
    #[serde(rename = "section")]
    pub(crate) name: String,
    pub(crate) signed_by: String,
    pub(crate) vectors: Vec<Vector>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) verdict: String,
    #[serde(default)]
    scheme: String,
    pub(crate) secrets: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    /// The body is filled with spaces at its end up to so many bytes.
    #[serde(default)]
    padded_to: usize,
    pub(crate) now: u64,
}

impl Vector {
    pub(crate) fn scheme(&self) -> Scheme {
        if self.scheme.is_empty() { Scheme::StandardWebhooks } else { self.scheme.parse().unwrap() }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
            _ => panic!("{}: a vector has one body", self.name),
        };
        body.resize(body.len().max(self.padded_to), b' ');
        body
    }

    pub(crate) fn header_map(&self) -> HeaderMap {
        let named = self.headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        let mut headers = HeaderMap::new();
        named.for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }
}

/// All sections, by name.
pub(crate) fn sections() -> Vec<Section> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// All vectors, each with the name of its section before its own.
pub(crate) fn vectors() -> Vec<Vector> {
    let named = |section: Section| {
        let Section { name, vectors, .. } = section;
        vectors.into_iter().map(move |vector| Vector { name: format!("{name}: {}", vector.name), ..vector })
    };
    sections().into_iter().flat_map(named).collect()
}
