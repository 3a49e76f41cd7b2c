//! Two servers on loopback: OpenAI with a batch and its output file, and AWS, which accepts every call and discards the
//! stored parts. One thread per connection, without an HTTP library.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::files::File;

/// Id of the batch.
pub(crate) const BATCH: &str = "batch_1";

/// Id of its output file.
pub(crate) const OUTPUT_FILE: &str = "file-out";

/// Size of the buffer for discarded bodies in bytes.
const SINK_BYTES: usize = 256 << 10;

/// Maximum length of a body that is kept, in bytes.
const SMALL: u64 = 1 << 20;

struct Request {
    method: String,
    path: String,
    target: String,
    /// The body; empty if it was discarded.
    body: Vec<u8>,
    length: u64,
}

/// Stand-in for OpenAI.
pub(crate) struct OpenAi(SocketAddr);

impl OpenAi {
    pub(crate) fn start(file: File) -> Self {
        Self(serve(move |request, stream| {
            let object = match request.path.rsplit('/').next() {
                Some("content") => {
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", file.length())?;
                    return file.blocks().try_for_each(|block| stream.write_all(block));
                }
                Some(OUTPUT_FILE) => json!({"id": OUTPUT_FILE, "object": "file", "bytes": file.length()}),
                _ => json!({"id": BATCH, "object": "batch", "endpoint": "/v1/responses", "status": "completed",
                    "output_file_id": OUTPUT_FILE, "error_file_id": null, "created_at": 1_795_230_000,
                    "completed_at": 1_795_230_900,
                    "request_counts": {"total": file.lines(), "completed": file.lines(), "failed": 0}}),
            };
            answer(stream, "", &object.to_string())
        }))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Stand-in for AWS.
pub(crate) struct Aws {
    address: SocketAddr,
    stored: Arc<AtomicU64>,
    outcome: Arc<Mutex<Option<Value>>>,
}

impl Aws {
    pub(crate) fn start() -> Self {
        let (stored, outcome) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
        let (stored_here, outcome_here) = (Arc::clone(&stored), Arc::clone(&outcome));
        let address = serve(move |request, stream| {
            let text = match (request.method.as_str(), request.target.rsplit('.').next()) {
                ("PUT", _) if request.path.contains("partNumber=") => {
                    stored_here.fetch_add(request.length, Ordering::Relaxed);
                    return answer(stream, "ETag: \"part\"\r\n", "");
                }
                ("POST", _) if request.path.contains("?uploads") => {
                    "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>".to_owned()
                }
                ("POST", _) if request.path.contains("uploadId=") => "<CompleteMultipartUploadResult/>".to_owned(),
                (_, Some("GetSecretValue")) => {
                    json!({"Name": "key", "VersionId": "1", "SecretString": "sk-local", "CreatedDate": 1_795_230_000.0,
                        "VersionStages": ["AWSCURRENT"]})
                    .to_string()
                }
                (_, Some("PutEvents")) => {
                    if let Ok(mut outcome) = outcome_here.lock() {
                        *outcome = serde_json::from_slice(&request.body).ok();
                    }
                    json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}).to_string()
                }
                _ => "{}".to_owned(),
            };
            answer(stream, "", &text)
        });
        Self { address, stored, outcome }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Checks the number of bytes stored in parts since the last check.
    pub(crate) fn expect_stored(&self, expected: u64) -> Result<(), String> {
        match self.stored.swap(0, Ordering::Relaxed) {
            stored if stored == expected => Ok(()),
            stored => Err(format!("{stored} bytes of {expected} were stored")),
        }
    }

    /// Number of succeeded lines in the outcome published since the last call.
    pub(crate) fn lines_counted(&self) -> Option<u64> {
        let outcome = self.outcome.lock().ok()?.take()?;
        let detail: Value = serde_json::from_str(outcome["Entries"][0]["Detail"].as_str()?).ok()?;
        detail["summary"]["lines"]["succeeded"].as_u64()
    }
}

fn answer(stream: &mut TcpStream, headers: &str, body: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes())
}

#[expect(clippy::expect_used, reason = "without a port on loopback there is nothing to measure")]
fn serve(handle: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("the port");
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let handle = Arc::clone(&handle);
            // The peer may close the connection at any time.
            thread::spawn(move || stream.and_then(|stream| handle_connection(stream, &*handle)).ok());
        }
    });
    address
}

fn handle_connection(
    mut stream: TcpStream,
    handle: &dyn Fn(&Request, &mut TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut sink = vec![0; SINK_BYTES];
    while let Some(request) = read(&mut reader, &mut stream, &mut sink)? {
        handle(&request, &mut stream)?;
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>, stream: &mut TcpStream, sink: &mut [u8]) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, target: String::new(), body: Vec::new(), length: 0 };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => request.length = value.trim().parse().unwrap_or_default(),
            "x-amz-target" => value.trim().clone_into(&mut request.target),
            "expect" => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
    }
    if request.length <= SMALL {
        reader.take(request.length).read_to_end(&mut request.body)?;
    } else {
        let mut left = request.length;
        while left > 0 {
            let most = sink.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = reader.read(&mut sink[..most])?;
            if read == 0 {
                return Ok(None);
            }
            left -= read as u64;
        }
    }
    Ok(Some(request))
}
