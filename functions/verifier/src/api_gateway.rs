//! Properties of requests that API Gateway has passed on: the path with its stage, and joined headers.

use hooks_webhook::{Scheme, VerifyError};
use http::HeaderMap;
use http::header::HeaderName;

static ID: HeaderName = HeaderName::from_static("webhook-id");
static TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
static SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
static LEGACY: [HeaderName; 4] = [
    HeaderName::from_static("x-openai-signature"),
    HeaderName::from_static("x-openai-timestamp"),
    HeaderName::from_static("x-signature-256"),
    HeaderName::from_static("x-timestamp"),
];

/// The `{endpoint}` of `/webhooks/{endpoint}`. Paths of a stage other than `$default` begin with the stage's name.
pub(crate) fn endpoint<'a>(path: &'a str, stage: Option<&str>) -> Option<&'a str> {
    let staged = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    let endpoint =
        staged.and_then(|rest| rest.strip_prefix("/webhooks/")).or_else(|| path.strip_prefix("/webhooks/"))?;
    Some(endpoint).filter(|endpoint| !endpoint.contains('/'))
}

/// Rejects a request with a repeated signature header.
///
/// An HTTP API joins the lines of a repeated header with commas, so the signature check, which counts lines, sees only
/// one. Joined lines are detected by their commas:
///
/// - An id is `wh_` and hexadecimal digits, a timestamp is digits, a hexadecimal signature is hexadecimal digits. None
///   has a comma.
/// - Every item of `webhook-signature` has one comma, `v1,<base64>`, and base64 has none. A second comma in an item that
///   begins with `v1,` is therefore a joint, and so is `,v1,` in any item. Items of future versions are accepted.
///
/// The reasons are in `docs/decisions/joined-headers.md`.
pub(crate) fn reject_joined_headers(scheme: Scheme, headers: &HeaderMap) -> Result<(), VerifyError> {
    let reject = |name: &'static HeaderName, is_joined: fn(&[u8]) -> bool| {
        let joined = headers.get(name).is_some_and(|value| is_joined(value.as_bytes()));
        if joined { Err(VerifyError::DuplicateHeader(name.as_str())) } else { Ok(()) }
    };
    match scheme {
        Scheme::StandardWebhooks => {
            reject(&ID, has_comma)?;
            reject(&TIMESTAMP, has_comma)?;
            reject(&SIGNATURE, is_joined_signature)
        }
        Scheme::TimestampedHex => LEGACY.iter().try_for_each(|name| reject(name, has_comma)),
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
        assert_eq!(endpoint("/webhooks/project", Some("$default")), Some("project"));
        assert_eq!(endpoint("/prod/webhooks/project", Some("prod")), Some("project"));
        assert_eq!(endpoint("/webhooks/project", Some("webhooks")), Some("project"));
        assert_eq!(endpoint("/webhooks/project", None), Some("project"));
        for path in ["/", "/webhooks", "/webhooks/project/more", "/other/webhooks/project", "webhooks/project"] {
            assert_eq!(endpoint(path, Some("prod")), None, "{path}");
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
            let mut headers = HeaderMap::new();
            headers.insert(name, "1,2".parse().unwrap());
            assert_eq!(reject_joined_headers(Scheme::StandardWebhooks, &headers), Ok(()));
            assert_eq!(
                reject_joined_headers(Scheme::TimestampedHex, &headers),
                Err(VerifyError::DuplicateHeader(name))
            );
        }
    }
}
