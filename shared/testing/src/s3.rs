//! As much of S3 as storing objects and reading them needs, on loopback: objects put at once and in parts, with
//! checksums.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hooks_aws::artifacts::Artifacts;

use crate::aws_config;
use crate::server::serve;

/// The one bucket.
pub const BUCKET: &str = "artifacts";

/// A running stand-in.
#[derive(Clone, Default)]
pub struct S3(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: HashMap<String, BTreeMap<u32, Part>>,
    begun: usize,
    requests: Vec<String>,
    /// Refusals for the next requests of this kind.
    faults: Vec<(&'static str, u16, &'static str)>,
    parts_under_way: usize,
    most_parts_under_way: usize,
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The content type that it was stored with.
    pub content_type: String,
    /// The content.
    pub bytes: Bytes,
}

struct Part {
    checksum: String,
    bytes: Bytes,
}

impl S3 {
    /// Starts it, and an [`Artifacts`] that stores into it.
    pub async fn start() -> (Self, Artifacts) {
        let s3 = Self::default();
        let serving = s3.clone();
        let url = serve(Router::new().fallback(move |request: Request| serving.clone().answer(request))).await;
        (s3, Artifacts::new(&aws_config(&url), BUCKET))
    }

    /// Object under a key.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Object> {
        self.0.lock().unwrap().objects.get(key).cloned()
    }

    /// All keys with an object.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    /// The requests so far by kind: `get`, `put`, `begin`, `part`, `complete`, `abort`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.clone()
    }

    /// How many uploads are neither complete nor aborted.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        self.0.lock().unwrap().uploads.len()
    }

    /// How many parts came in at the same time at most.
    #[must_use]
    pub fn most_parts_under_way(&self) -> usize {
        self.0.lock().unwrap().most_parts_under_way
    }

    /// Refuses the next request of a kind.
    pub fn refuse(&self, kind: &'static str, status: u16, code: &'static str) {
        self.0.lock().unwrap().faults.push((kind, status, code));
    }

    async fn answer(self, request: Request) -> Response<Body> {
        let key = request.uri().path().strip_prefix(&format!("/{BUCKET}/")).unwrap().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let argument = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name))
                .map(|(_, v)| v.to_owned())
        };
        let (upload, number) = (argument("uploadId"), argument("partNumber"));
        let kind = match (request.method(), &upload) {
            (&Method::GET, None) => "get",
            (&Method::PUT, None) => "put",
            (&Method::PUT, Some(_)) => "part",
            (&Method::POST, None) => "begin",
            (&Method::POST, Some(_)) => "complete",
            (&Method::DELETE, Some(_)) => "abort",
            other => panic!("{other:?}"),
        };
        let (headers, body) = (request.headers().clone(), request.into_body());
        if kind == "part" {
            let mut state = self.0.lock().unwrap();
            state.parts_under_way += 1;
            state.most_parts_under_way = state.most_parts_under_way.max(state.parts_under_way);
        }
        let body = to_bytes(body, usize::MAX).await.unwrap();
        if kind == "part" {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.0.lock().unwrap().parts_under_way -= 1;
        }
        let mut state = self.0.lock().unwrap();
        state.requests.push(kind.to_owned());
        if let Some(at) = state.faults.iter().position(|(refused, ..)| *refused == kind) {
            let (_, status, code) = state.faults.remove(at);
            let body = format!("<Error><Code>{code}</Code><Message>Refused.</Message></Error>");
            return Response::builder().status(status).header("x-amz-request-id", "REQ7").body(body.into()).unwrap();
        }
        let mut answer = Response::builder();
        let mut text = String::new();
        match kind {
            "get" => match state.objects.get(&key) {
                None => {
                    answer = answer.status(404);
                    text.push_str("<Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>");
                }
                Some(object) => {
                    let etag = format!("\"{:08x}\"", crc32(&object.bytes));
                    let unchanged = headers.get("if-none-match").is_some_and(|known| *known == *etag);
                    let (status, bytes) = if unchanged { (304, Bytes::new()) } else { (200, object.bytes.clone()) };
                    return answer.status(status).header("etag", etag).body(bytes.into()).unwrap();
                }
            },
            "put" => {
                checksum(&headers, &body);
                state.objects.insert(key, Object { content_type: content_type(&headers), bytes: body });
            }
            "begin" => {
                assert_eq!(headers["x-amz-checksum-algorithm"], "CRC32");
                state.begun += 1;
                let id = format!("{}.{}", state.begun, content_type(&headers).replace('/', "."));
                text =
                    format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
                state.uploads.insert(id, BTreeMap::new());
            }
            "part" => {
                let checksum = checksum(&headers, &body);
                let number = number.unwrap().parse().unwrap();
                answer = answer.header("etag", format!("\"part-{number}\"")).header("x-amz-checksum-crc32", &checksum);
                state.uploads.get_mut(&upload.unwrap()).unwrap().insert(number, Part { checksum, bytes: body });
            }
            "complete" => {
                let id = upload.unwrap();
                let parts = state.uploads.remove(&id).unwrap();
                let told = String::from_utf8(body.to_vec()).unwrap();
                let mut from = 0;
                let mut bytes = Vec::new();
                for (at, (number, part)) in parts.iter().enumerate() {
                    assert_eq!(*number as usize, at + 1, "parts without a gap");
                    // In the order of their numbers, each with its tag and checksum.
                    for said in [format!("part-{number}"), part.checksum.clone()] {
                        assert!(told[from..].contains(&said), "{said} in {told}");
                    }
                    from += told[from..].find(&format!("part-{number}")).unwrap();
                    bytes.extend_from_slice(&part.bytes);
                }
                let content_type = id.split_once('.').unwrap().1.replace('.', "/");
                state.objects.insert(key, Object { content_type, bytes: bytes.into() });
                text.push_str("<CompleteMultipartUploadResult/>");
            }
            _ => {
                state.uploads.remove(&upload.unwrap());
                answer = answer.status(204);
            }
        }
        answer.body(text.into()).unwrap()
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers["content-type"].to_str().unwrap().to_owned()
}

/// The checksum that came with a body, which must be that of the body.
fn checksum(headers: &HeaderMap, body: &[u8]) -> String {
    let told = headers["x-amz-checksum-crc32"].to_str().unwrap();
    assert_eq!(told, BASE64_STANDARD.encode(crc32(body).to_be_bytes()));
    told.to_owned()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0_u32; 256];
    for (byte, entry) in (0_u32..).zip(&mut table) {
        *entry = (0..8).fold(byte, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 });
    }
    !bytes.iter().fold(!0, |crc: u32, byte| table[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8))
}
