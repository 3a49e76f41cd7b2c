//! The client against servers on loopback that count their connections, with and without TLS.

use super::{BoxError, Http};
use crate::cause::chain;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper_util::client::proxy::matcher::Matcher;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers `per_connection` requests on a connection, then closes it.
    async fn start(per_connection: usize, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/", listener.local_addr().unwrap().port());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                match tls.clone() {
                    None => drop(tokio::spawn(answer(stream, per_connection))),
                    Some(tls) => drop(tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, per_connection).await;
                        }
                    })),
                }
            }
        });
        Self { url, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, times: usize) {
    for _ in 0..times {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        stream.write_all(ANSWER).await.unwrap();
        stream.flush().await.unwrap();
    }
}

async fn get(http: &Http, url: &str) -> Result<(StatusCode, Bytes), BoxError> {
    http.exchange(Request::get(url).body(SdkBody::empty()).unwrap()).await
}

/// A server's side of TLS with a certificate of its own, and that certificate.
fn self_signed() -> (TlsAcceptor, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.der().clone())
}

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let (server, http) = (Server::start(usize::MAX, None).await, Http::new());
    for _ in 0..3 {
        assert_eq!(get(&http, &server.url).await.unwrap(), (StatusCode::OK, "fine".into()));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn connections_of_requests_at_the_same_time_are_kept() {
    let (server, http) = (Server::start(usize::MAX, None).await, Http::new());
    for _ in 0..20 {
        let (a, b) = tokio::join!(get(&http, &server.url), get(&http, &server.url));
        assert!(a.is_ok() && b.is_ok());
        // A connection goes back when its task has seen the end of the response.
        sleep(Duration::from_millis(5)).await;
    }
    assert!(server.connections() < 20, "{} for 40 requests", server.connections());
}

#[tokio::test]
async fn a_connection_opened_ahead_serves_the_first_request() {
    let (server, http) = (Server::start(usize::MAX, None).await, Http::new());
    http.connect(&server.url.parse().unwrap()).await;
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&http, &server.url).await.unwrap().1, "fine");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_without_an_error() {
    let (server, http) = (Server::start(1, None).await, Http::new());
    for expected in 1..=3 {
        assert_eq!(get(&http, &server.url).await.unwrap().0, StatusCode::OK);
        assert_eq!(server.connections(), expected);
    }
}

#[tokio::test]
async fn a_response_that_nobody_reads_never_reaches_the_next_request() {
    let (server, http) = (Server::start(usize::MAX, None).await, Http::new());
    let request = Request::get(&server.url).body(SdkBody::empty()).unwrap();
    drop(http.client.request(request).await.unwrap());
    assert_eq!(get(&http, &server.url).await.unwrap(), (StatusCode::OK, "fine".into()));
}

#[tokio::test]
async fn nobody_listening_is_told_as_such() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = get(&Http::new(), &format!("http://{free}/")).await.unwrap_err();
    assert!(error.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect), "{error}");
}

#[tokio::test]
async fn tls_works_with_a_server_whose_certificate_leads_to_a_root() {
    let (acceptor, certificate) = self_signed();
    let server = Server::start(usize::MAX, Some(acceptor)).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let http = Http::with(roots, None);
    for _ in 0..2 {
        assert_eq!(get(&http, &server.url).await.unwrap(), (StatusCode::OK, "fine".into()));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_certificate_that_leads_to_no_root_is_refused() {
    let (acceptor, _) = self_signed();
    let server = Server::start(usize::MAX, Some(acceptor)).await;
    let error = get(&Http::new(), &server.url).await.unwrap_err();
    assert!(chain(&*error).contains("UnknownIssuer"), "{error}");
}

/// A proxy that connects as `CONNECT` asks, or refuses with this status. Its URL has a name and a password.
async fn proxy(status: u16) -> (Matcher, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:secret@{}", listener.local_addr().unwrap());
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tunnels);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            assert!(request.contains("Proxy-Authorization: Basic bWU6c2VjcmV0"), "{request}");
            let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
            stream.write_all(format!("HTTP/1.1 {status} -\r\n\r\n").as_bytes()).await.unwrap();
            if status == 200 {
                count.fetch_add(1, Ordering::Relaxed);
                let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut server).await });
            }
        }
    });
    (Matcher::builder().all(url).no("127.0.0.1").build(), tunnels)
}

#[tokio::test]
async fn tls_goes_through_a_proxy_and_plain_http_does_not() {
    let (acceptor, certificate) = self_signed();
    let server = Server::start(usize::MAX, Some(acceptor)).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let (matcher, tunnels) = proxy(200).await;
    let http = Http::with(roots, Some(matcher));
    for _ in 0..2 {
        assert_eq!(get(&http, &server.url).await.unwrap(), (StatusCode::OK, "fine".into()));
    }
    assert_eq!((tunnels.load(Ordering::Relaxed), server.connections()), (1, 1));

    let plain = Server::start(usize::MAX, None).await;
    get(&http, &plain.url).await.unwrap();
    assert_eq!(tunnels.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let (matcher, _) = proxy(403).await;
    let error = get(&Http::with(super::mozilla(), Some(matcher)), "https://localhost:1/").await.unwrap_err();
    let text = chain(&*error);
    assert!(text.contains("through the proxy 127.0.0.1:"), "{text}");
    assert!(!text.contains("secret"), "{text}");

    let socks = Matcher::builder().all("socks5://127.0.0.1:1080").build();
    let error = get(&Http::with(super::mozilla(), Some(socks)), "https://localhost:1/").await.unwrap_err();
    assert!(chain(&*error).contains("must have an http:// URL"), "{error}");
}
