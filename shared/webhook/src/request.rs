//! The HTTP request of a delivery, in the event that Lambda hands to a function.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::signature::SIGNATURE_HEADERS;
use crate::{Json, Scheme, VerifyError};

/// Maximum number of lines kept of a header. Two are refused as a duplicate already.
const MAX_LINES: usize = 2;

/// With and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// HTTP request of a delivery.
///
/// It is read from the event of an HTTP API (payload versions 1 and 2), a REST API, a function URL or a load balancer.
/// Only what a delivery is decided by is read, so nothing else in the event, however odd, changes the answer. Every JSON
/// text is read or is not an HTTP request; nothing else can happen.
///
/// | odd value | is read as |
/// |---|---|
/// | a control character in a header | `?`, so that nothing signed with it matches |
/// | a header, body or method of another type than string | absent |
/// | a body that is marked as base64 and is not | the bytes of its text |
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Method, in the sender's spelling; empty when absent.
    pub method: Cow<'a, str>,
    /// The `{endpoint}` of `/webhooks/{endpoint}`.
    pub endpoint: Option<Cow<'a, str>>,
    /// The headers that sign a delivery; no others.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Cow<'a, [u8]>,
    /// Whether a load balancer sent it, which wants a `statusDescription` in the answer.
    pub is_from_load_balancer: bool,
}

impl<'a> Request<'a> {
    /// Reads an event, which has to be a JSON text; `None` when it is not about an HTTP request.
    #[must_use]
    pub fn read(event: &'a [u8]) -> Option<Self> {
        let event = Json::of(event);
        let [context, method, raw_path, path, parameters, headers, lists, body, is_base64] = event.pick([
            "requestContext",
            "httpMethod",
            "rawPath",
            "path",
            "pathParameters",
            "headers",
            "multiValueHeaders",
            "body",
            "isBase64Encoded",
        ]);
        let [http, stage, balancer] = context.map_or([None; 3], |context| context.pick(["http", "stage", "elb"]));
        let method = http.and_then(|http| http.get("method")).or(method);
        if method.is_none() && raw_path.is_none() && path.is_none() {
            return None;
        }
        let path = raw_path.or(path).and_then(Json::string).unwrap_or_default();
        let [endpoint, proxy] = parameters.map_or([None; 2], |parameters| parameters.pick(["endpoint", "proxy"]));
        let endpoint = match (endpoint.and_then(Json::text), proxy.and_then(Json::text)) {
            (Some(endpoint), _) => Some(endpoint),
            (None, Some(proxy)) => endpoint_of(&format!("/{proxy}"), None).map(|found| Cow::Owned(found.to_owned())),
            (None, None) => {
                let stage = stage.and_then(Json::text);
                endpoint_of(&path, stage.as_deref()).map(|found| Cow::Owned(found.to_owned()))
            }
        };
        Some(Self {
            method: method.and_then(Json::string).unwrap_or_default(),
            endpoint,
            headers: read_headers(headers, lists),
            body: read_body(body, is_base64.and_then(Json::flag).unwrap_or_default()),
            is_from_load_balancer: balancer.is_some(),
        })
    }

    /// Rejects a request with a repeated signature header: [`reject_joined_headers`].
    ///
    /// # Errors
    ///
    /// The header that is there twice.
    pub fn reject_joined_headers(&self, scheme: Scheme) -> Result<(), VerifyError> {
        reject_joined_headers(scheme, &self.headers)
    }
}

/// Rejects a repeated signature header whose lines were joined into one.
///
/// An HTTP API joins the lines of a repeated header with commas, so the signature check, which counts lines, sees
/// only one. Joined lines are detected by their commas:
///
/// - An id is `wh_` and hexadecimal digits, a timestamp is digits, a hexadecimal signature is hexadecimal digits.
///   None has a comma.
/// - Every item of `webhook-signature` has one comma, `v1,<base64>`, and base64 has none. A second comma in an item
///   that begins with `v1,` is therefore a joint, and so is `,v1,` in any item. Items of future versions are accepted.
///
/// The reasons are in `docs/decisions/joined-headers.md`.
pub fn reject_joined_headers(scheme: Scheme, headers: &HeaderMap) -> Result<(), VerifyError> {
    let [id, timestamp, signature, legacy @ ..] = SIGNATURE_HEADERS;
    let reject = |name: &'static str, is_joined: fn(&[u8]) -> bool| {
        let joined = headers.get(name).is_some_and(|value| is_joined(value.as_bytes()));
        if joined { Err(VerifyError::DuplicateHeader(name)) } else { Ok(()) }
    };
    match scheme {
        Scheme::StandardWebhooks => {
            reject(id, has_comma)?;
            reject(timestamp, has_comma)?;
            reject(signature, is_joined_signature)
        }
        Scheme::TimestampedHex => legacy.iter().try_for_each(|name| reject(name, has_comma)),
    }
}

/// The `{endpoint}` of `/webhooks/{endpoint}`. Paths of a stage other than `$default` begin with the stage's name.
fn endpoint_of<'a>(path: &'a str, stage: Option<&str>) -> Option<&'a str> {
    let staged = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    let endpoint =
        staged.and_then(|rest| rest.strip_prefix("/webhooks/")).or_else(|| path.strip_prefix("/webhooks/"))?;
    Some(endpoint).filter(|endpoint| !endpoint.is_empty() && !endpoint.contains('/'))
}

/// The signature headers: every line of them where the event has lists, or else one.
fn read_headers(headers: Option<Json<'_>>, lists: Option<Json<'_>>) -> HeaderMap {
    let mut read = HeaderMap::new();
    for (name, values) in lists.into_iter().flat_map(Json::members) {
        keep(&mut read, name, values.items());
    }
    let listed = read.clone();
    for (name, value) in headers.into_iter().flat_map(Json::members) {
        if !name.string().is_some_and(|name| listed.contains_key(name.as_ref())) {
            keep(&mut read, name, std::iter::once(value));
        }
    }
    read
}

fn keep<'a>(headers: &mut HeaderMap, name: Json<'_>, values: impl Iterator<Item = Json<'a>>) {
    let name = name.string().unwrap_or_default();
    let Some(name) = SIGNATURE_HEADERS.into_iter().find(|known| name.eq_ignore_ascii_case(known)) else { return };
    let kept = headers.get_all(name).iter().count();
    for value in values.filter_map(Json::string).take(MAX_LINES.saturating_sub(kept)) {
        let is_control = |byte: u8| byte != b'\t' && byte.is_ascii_control();
        let bytes: Vec<u8> = value.bytes().map(|byte| if is_control(byte) { b'?' } else { byte }).collect();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

fn read_body(body: Option<Json<'_>>, is_base64: bool) -> Cow<'_, [u8]> {
    let text = match body.and_then(Json::string).unwrap_or_default() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    match is_base64.then(|| BASE64.decode(&text)) {
        Some(Ok(bytes)) => Cow::Owned(bytes),
        Some(Err(_)) | None => text,
    }
}

fn has_comma(value: &[u8]) -> bool {
    value.contains(&b',')
}

fn is_joined_signature(value: &[u8]) -> bool {
    value.split(u8::is_ascii_whitespace).any(|item| match item.strip_prefix(b"v1,") {
        Some(signature) => has_comma(signature),
        None => item.windows(4).any(|window| window == b",v1,"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_one_segment_after_webhooks() {
        assert_eq!(endpoint_of("/webhooks/project", Some("$default")), Some("project"));
        assert_eq!(endpoint_of("/prod/webhooks/project", Some("prod")), Some("project"));
        assert_eq!(endpoint_of("/webhooks/project", Some("webhooks")), Some("project"));
        assert_eq!(endpoint_of("/webhooks/project", None), Some("project"));
        for path in
            ["/", "/webhooks", "/webhooks/", "/webhooks/project/more", "/other/webhooks/project", "webhooks/project"]
        {
            assert_eq!(endpoint_of(path, Some("prod")), None, "{path}");
        }
    }

    #[test]
    fn a_comma_in_the_wrong_place_shows_joined_signatures() {
        for single in ["v1,YQ==", "v1,YQ== v1,Yg==", "v1,YQ== v1a,Yg==", "v2,x,y v1,YQ==", "v1", "", " v1,YQ== "] {
            assert!(!is_joined_signature(single.as_bytes()), "{single}");
        }
        for joined in ["v1,YQ==,v1,Yg==", "v1,YQ==, v1,Yg==", "v1a,x,v1,YQ==", "v1,YQ== v1a,x,v1,Yg==", "v1,YQ==,v2,x"]
        {
            assert!(is_joined_signature(joined.as_bytes()), "{joined}");
        }
    }

    #[test]
    fn each_scheme_checks_its_own_headers() {
        for name in ["x-openai-signature", "x-openai-timestamp", "x-signature-256", "x-timestamp"] {
            let event = format!(r#"{{"httpMethod":"POST","headers":{{"{name}":"1,2"}}}}"#);
            let request = Request::read(event.as_bytes()).unwrap();
            assert_eq!(request.reject_joined_headers(Scheme::StandardWebhooks), Ok(()));
            assert_eq!(request.reject_joined_headers(Scheme::TimestampedHex), Err(VerifyError::DuplicateHeader(name)));
        }
    }
}
