//! Events as API Gateway makes them.

use serde_json::{Map, Value, json};

/// The event of an HTTP API (payload format 2.0) for a POST with these headers and this body.
///
/// A front door joins headers of one name with commas and writes names in lower case; whoever calls this does the same.
#[must_use]
pub fn http_event(path: &str, headers: &[(&str, &str)], body: &str, is_base64: bool) -> Value {
    let mut all = Map::new();
    for (name, value) in [
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("host", "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"),
        ("user-agent", "OpenAI-Webhooks/1.0"),
        ("x-amzn-trace-id", "Root=1-685c059a-1022a24d685c059ae39c8190"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ] {
        all.insert(name.to_owned(), Value::from(value));
    }
    all.insert("content-length".to_owned(), Value::from(body.len().to_string()));
    for (name, value) in headers {
        all.insert((*name).to_owned(), Value::from(*value));
    }
    json!({
        "version": "2.0",
        "routeKey": "POST /webhooks/{endpoint}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": all,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "a1b2c3d4e5",
            "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "OpenAI-Webhooks/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /webhooks/{endpoint}",
            "stage": "$default",
            "time": "25/Jun/2025:14:20:10 +0000",
            "timeEpoch": 1_750_861_210_042_u64,
        },
        "pathParameters": {"endpoint": path.rsplit('/').next()},
        "body": body,
        "isBase64Encoded": is_base64,
    })
}
