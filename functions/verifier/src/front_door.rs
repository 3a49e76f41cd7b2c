//! What API Gateway makes of a request before it comes here.

use hooks_webhook::{Refusal, Scheme};
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

/// The `{endpoint}` of `/webhooks/{endpoint}`, with or without the stage before it: the paths of a stage other than
/// `$default` begin with its name.
pub(crate) fn endpoint<'a>(path: &'a str, stage: Option<&str>) -> Option<&'a str> {
    let staged = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    let endpoint =
        staged.and_then(|rest| rest.strip_prefix("/webhooks/")).or_else(|| path.strip_prefix("/webhooks/"))?;
    Some(endpoint).filter(|endpoint| !endpoint.contains('/'))
}

/// Refuses a request in which a signed header came more than once.
///
/// An HTTP API hands over one value per header: it joins the lines of a repeated header with commas. The check of the
/// signature, which counts lines, would see one line only, so joined lines are told from single ones here:
///
/// - An id is `wh_` and hexadecimal digits, a timestamp is digits, a hexadecimal signature is hexadecimal digits. A
///   comma in one of them is a joint.
/// - `webhook-signature` has a comma in every item, `v1,<base64>`, and none within base64. So a second comma in an
///   item that begins with `v1,` is a joint, and so is `,v1,` in any item; whatever else a version of the future may
///   write stays untouched.
///
/// Even unnoticed a joint could not make a false delivery pass: the joined id or timestamp would have to be signed, and
/// a joined signature is no base64. But the sender is told what is wrong, and nobody has to rely on that argument.
pub(crate) fn refuse_joined(scheme: Scheme, headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = |name: &'static HeaderName, is_joined: fn(&[u8]) -> bool| {
        let joined = headers.get(name).is_some_and(|value| is_joined(value.as_bytes()));
        if joined { Err(Refusal::DuplicateHeader(name.as_str())) } else { Ok(()) }
    };
    match scheme {
        Scheme::StandardWebhooks => {
            refuse(&ID, has_comma)?;
            refuse(&TIMESTAMP, has_comma)?;
            refuse(&SIGNATURE, is_joined_signature)
        }
        Scheme::TimestampedHex => LEGACY.iter().try_for_each(|name| refuse(name, has_comma)),
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
    fn signatures_are_joined_when_a_comma_stands_where_none_belongs() {
        for single in ["v1,YQ==", "v1,YQ== v1,Yg==", "v1,YQ== v1a,Yg==", "v2,x,y v1,YQ==", "v1", "", " v1,YQ== "] {
            assert!(!is_joined_signature(single.as_bytes()), "{single}");
        }
        for joined in ["v1,YQ==,v1,Yg==", "v1,YQ==, v1,Yg==", "v1a,x,v1,YQ==", "v1,YQ== v1a,x,v1,Yg==", "v1,YQ==,v2,x"]
        {
            assert!(is_joined_signature(joined.as_bytes()), "{joined}");
        }
    }

    #[test]
    fn each_scheme_looks_at_its_own_headers() {
        for name in ["x-openai-signature", "x-openai-timestamp", "x-signature-256", "x-timestamp"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, "1,2".parse().unwrap());
            assert_eq!(refuse_joined(Scheme::StandardWebhooks, &headers), Ok(()));
            assert_eq!(refuse_joined(Scheme::TimestampedHex, &headers), Err(Refusal::DuplicateHeader(name)));
        }
    }
}
