//! As much of an HTTP/1.1 server as two well-behaved clients need: requests with `Content-Length`, kept connections.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection is watched for its next request before its thread sleeps.
const AWAKE: Duration = Duration::from_millis(1);

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header's value; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Answer to a request.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }
}

/// Serves until the process ends, one thread per connection. `None` closes the connection without an answer.
pub(crate) fn serve(handle: impl Fn(Request) -> Option<Response> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let handle = Arc::clone(&handle);
            // The other side may be gone at any moment; that is its own business.
            thread::spawn(move || stream.and_then(|stream| converse(&stream, &*handle)).ok());
        }
    });
    address
}

fn converse(stream: &TcpStream, handle: &dyn Fn(Request) -> Option<Response>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(Awake(stream));
    let mut out = Vec::new();
    while let Some(request) = read(&mut reader)? {
        let Some(response) = handle(request) else { break };
        out.clear();
        write!(out, "HTTP/1.1 {} X\r\nContent-Length: {}\r\n", response.status, response.body.len())?;
        for (name, value) in &response.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&response.body);
        (&mut &*stream).write_all(&out)?;
    }
    Ok(())
}

/// Reads without going to sleep at once.
///
/// Waking a sleeping thread is charged to whoever writes to it, and on a virtual machine may cost more than all the rest
/// of an exchange. Behind a network nobody would be woken, so the function under measurement must not pay for it.
struct Awake<'a>(&'a TcpStream);

impl Read for Awake<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let asleep = Instant::now() + AWAKE;
        self.0.set_nonblocking(true)?;
        let result = loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < asleep => thread::yield_now(),
                result => break result,
            }
        };
        self.0.set_nonblocking(false)?;
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.0.read(buffer),
            result => result,
        }
    }
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, headers: Vec::new(), body: Vec::new() };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
