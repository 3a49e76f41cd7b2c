//! A running verifier with its stand-ins, and deliveries for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hooks_testing_lambda::{Answer, Aws, Function, http_event};
use hooks_webhook::Category;
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const ID: &str = "wh_685c059ae39c8190af8c71ed1022a24d";
pub(crate) const BODY: &str = r#"{"id":"evt_685c059ae3a481909bdc86819b066fb6","object":"event","created_at":1750861210,"type":"batch.completed","data":{"id":"batch_123"}}"#;

/// Signing secret of the endpoints, unless a test changes it.
pub(crate) const PROJECT: &str = "whsec_cHJvamVjdHByb2plY3Rwcm9qZWN0";
pub(crate) const TEAM_2: &str = "whsec_dGVhbS0yLXRlYW0tMi10ZWFtLTI=";
pub(crate) const RELAY: &str = "a relay's text of some length";

/// A day, and far more than any limit of the cache.
pub(crate) const LONG_AGO: Duration = Duration::from_hours(48);

/// A verifier, started and ready, whose secrets and queues the test can change.
pub(crate) struct Stand {
    pub(crate) aws: Aws,
    pub(crate) function: Function,
}

/// An answer as a sender sees it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u64,
    pub(crate) headers: Value,
    pub(crate) body: Value,
}

impl Stand {
    /// Endpoints of the stack: `project`, and `organization` with an unset secret. Additional endpoints: `team-2`, and
    /// `relay` with the legacy scheme.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// As [`start`](Self::start), with AWS changed before the function starts.
    pub(crate) fn start_with(prepare: impl FnOnce(&Aws)) -> Self {
        let aws = Aws::start();
        aws.keep_messages();
        aws.set_secret("arn:project", "AWSCURRENT", Some(PROJECT), LONG_AGO);
        aws.set_secret("arn:organization", "AWSCURRENT", Some("unset"), LONG_AGO);
        aws.set_secret("arn:relay", "AWSCURRENT", Some(RELAY), LONG_AGO);
        prepare(&aws);
        let url = aws.url();
        aws.set_secret("arn:team-2", "AWSCURRENT", Some(TEAM_2), LONG_AGO);
        let secrets = json!({"project": "arn:project", "organization": "arn:organization"});
        let additional = json!({"team-2": "arn:team-2", "relay": {"secret": "arn:relay", "scheme": "timestamped-hex"}});
        let function = run(&[
            ("AWS_ENDPOINT_URL", &url),
            ("SIGNING_SECRETS", &secrets.to_string()),
            ("ADDITIONAL_ENDPOINTS", &additional.to_string()),
            ("QUEUE_URLS", &queue_urls(&url)),
        ]);
        Self { aws, function }
    }

    /// Sends a request to `/webhooks/project`.
    pub(crate) fn deliver(&self, headers: &[(&str, &str)], body: &str) -> Reply {
        self.send(&http_event("/webhooks/project", headers, body, false))
    }

    /// Sends an event as API Gateway would.
    pub(crate) fn send(&self, event: &Value) -> Reply {
        match self.function.invoke(event.to_string().as_bytes()) {
            Answer::Response(response) => Reply::of(&serde_json::from_slice(&response).unwrap()),
            other => panic!("no answer, but {other:?}"),
        }
    }

    /// The log's line about the last request.
    pub(crate) fn line(&self) -> Value {
        let is_boundary = |line: &Value| line["_aws"].is_object();
        let lines = self.function.log();
        lines.iter().rev().map(|line| serde_json::from_str(line).unwrap()).find(is_boundary).unwrap()
    }
}

impl Reply {
    fn of(response: &Value) -> Self {
        let body = response["body"].as_str().unwrap();
        assert_eq!(response["isBase64Encoded"], false);
        Self {
            status: response["statusCode"].as_u64().unwrap(),
            headers: response["headers"].clone(),
            body: serde_json::from_str(body).unwrap(),
        }
    }

    /// Whether this is 200, or a problem whose parts fit together: status and reason.
    pub(crate) fn summary(&self) -> (u64, &str) {
        if self.status == 200 {
            assert_eq!(self.body, json!({"received": true}));
            return (200, "accepted");
        }
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        (self.status, self.body["reason"].as_str().unwrap())
    }
}

/// Runs the binary with this environment.
pub(crate) fn run(environment: &[(&str, &str)]) -> Function {
    Function::start(Path::new(env!("CARGO_BIN_EXE_verifier")), environment)
}

pub(crate) fn queue_urls(url: &str) -> String {
    let urls = Category::ALL.map(|category| (category.to_string(), format!("{url}/000000000000/{category}").into()));
    Value::from(serde_json::Map::from_iter(urls)).to_string()
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// `v1,…` over these parts, by a secret as OpenAI shows it.
pub(crate) fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let tag = mac.chain_update(format!("{id}.{timestamp}.")).chain_update(body).finalize().into_bytes();
    format!("v1,{}", STANDARD.encode(tag))
}

/// The headers of a delivery of `body` signed `seconds` from now.
pub(crate) fn signed(secret: &str, seconds: i64, body: &[u8]) -> [(&'static str, String); 3] {
    let timestamp = now().strict_add_signed(seconds).to_string();
    let signature = sign(secret, ID, &timestamp, body);
    [("webhook-id", ID.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
}

/// Headers as they are passed on.
pub(crate) fn pairs<'a, const N: usize>(headers: &'a [(&'static str, String); N]) -> [(&'a str, &'a str); N] {
    headers.each_ref().map(|(name, value)| (*name, value.as_str()))
}
