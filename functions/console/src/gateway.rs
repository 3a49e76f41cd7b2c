//! API Gateway's event (payload format 2.0) as a request, and the answer to it.
//!
//! It is read here and not by `lambda_http`, which panics on a host or a query that is not part of a URI: anybody could ring
//! the alarm on failed functions with one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hooks_console::{Deployed, Reached};
use serde::{Deserialize, Serialize};

/// The longest answer, in bytes. Lambda takes 6 MB with the base64 of what is compressed.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    domain_name: String,
    http: Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    source_ip: String,
}

/// The answer as API Gateway reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

/// Answers the request of an event.
pub(crate) async fn answer(console: &Deployed, event: &str) -> Answer {
    let Some(request) = request(event) else {
        return plain(StatusCode::BAD_REQUEST, "This is not a request that the console can read.");
    };
    of(console.answer(request).await).await
}

fn request(event: &str) -> Option<Request<Body>> {
    let event: Event = serde_json::from_str(event).ok()?;
    let query = Some(event.raw_query_string).filter(|query| !query.is_empty());
    let uri = escaped(&event.raw_path) + &query.map(|query| format!("?{}", escaped(&query))).unwrap_or_default();
    let mut request = Request::new(match event.body {
        Some(body) if event.is_base64_encoded => Body::from(BASE64_STANDARD.decode(body).ok()?),
        Some(body) => Body::from(body),
        None => Body::empty(),
    });
    *request.method_mut() = Method::from_bytes(event.request_context.http.method.as_bytes()).ok()?;
    *request.uri_mut() = uri.parse::<Uri>().ok()?;
    *request.headers_mut() = headers(&event.headers, event.cookies)?;
    let Context { domain_name: domain, http: Http { source_ip: source, .. } } = event.request_context;
    request.extensions_mut().insert(Reached { domain, source });
    Some(request)
}

fn headers(given: &BTreeMap<String, String>, cookies: Option<Vec<String>>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    if let Some(cookies) = cookies {
        headers.insert(COOKIE, HeaderValue::from_bytes(cookies.join("; ").as_bytes()).ok()?);
    }
    Some(headers)
}

/// A path or query with nothing in it that a URI cannot hold: API Gateway hands the path over decoded.
fn escaped(text: &str) -> String {
    let mut uri = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?[]".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

async fn of(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_ANSWER).await else {
        return plain(StatusCode::FAILED_DEPENDENCY, "The answer has more than 4 MB. Ask for less of it at once.");
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let cookies = parts.headers.get_all(SET_COOKIE).iter().map(text).collect();
    let named = parts.headers.iter().filter(|(name, _)| *name != SET_COOKIE);
    let headers = named.map(|(name, value)| (name.to_string(), text(value))).collect();
    let is_text = !parts.headers.contains_key(CONTENT_ENCODING);
    let (body, is_base64_encoded) = match std::str::from_utf8(&bytes) {
        Ok(text) if is_text => (text.to_owned(), false),
        _ => (BASE64_STANDARD.encode(&bytes), true),
    };
    Answer { status_code: parts.status.as_u16(), headers, cookies, body, is_base64_encoded }
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let headers = [(CONTENT_TYPE.to_string(), "text/plain; charset=utf-8".to_owned())].into();
    let (body, cookies) = (text.to_owned(), Vec::new());
    Answer { status_code: status.as_u16(), headers, cookies, body, is_base64_encoded: false }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(change: impl FnOnce(&mut Value)) -> Option<Request<Body>> {
        let mut event = json!({
            "version": "2.0", "rawPath": "/console/objects/batch/a b%25é", "rawQueryString": "q=1&r=%20",
            "headers": {"host": "a.example"}, "cookies": ["one=1", "two=2"], "body": "eA==", "isBase64Encoded": true,
            "requestContext": {"domainName": "a.example", "http": {"method": "POST", "sourceIp": "192.0.2.7"}},
        });
        change(&mut event);
        request(&event.to_string())
    }

    #[tokio::test]
    async fn an_event_is_a_request() {
        let request = event(|_| ()).unwrap();
        assert_eq!(request.uri().to_string(), "/console/objects/batch/a%20b%25%C3%A9?q=1&r=%20");
        assert_eq!(request.headers()[COOKIE], "one=1; two=2");
        assert_eq!(request.extensions().get::<Reached>().unwrap().source, "192.0.2.7");
        assert_eq!(to_bytes(request.into_body(), 9).await.unwrap(), "x");
    }

    #[test]
    fn what_is_no_request_is_none_and_nothing_panics() {
        let hostile = ["\u{0}", "\n", "http://[", "?#", "//", "\u{202e}", " ", "*", "a:b@c", "%"];
        for text in hostile {
            for place in ["/rawPath", "/rawQueryString", "/headers/host", "/body", "/requestContext/http/method"] {
                event(|event| *event.pointer_mut(place).unwrap() = json!(text));
            }
        }
        assert!(event(|event| event["rawPath"] = json!(7)).is_none());
        assert!(event(|event| event["requestContext"] = json!({})).is_none());
        assert!(event(|event| event["headers"] = json!({"a b": "c"})).is_none());
        assert!(event(|event| event["body"] = json!("no base64")).is_none());
        assert!(request("{}").is_none() && request("").is_none());
    }

    #[tokio::test]
    async fn cookies_and_what_is_compressed_have_places_of_their_own() {
        let response = Response::builder().header(SET_COOKIE, "a=1").header(SET_COOKIE, "b=2");
        let answer = of(response.header(CONTENT_ENCODING, "gzip").body(Body::from("x")).unwrap()).await;
        assert_eq!(
            (answer.cookies.join(" "), answer.body, answer.is_base64_encoded),
            ("a=1 b=2".into(), "eA==".into(), true)
        );
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}
