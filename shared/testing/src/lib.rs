//! For tests only: what they run functions and clients against, on this machine alone.
//!
//! | module or type | stands in for |
//! |---|---|
//! | [`Server`] | any HTTP service: it answers as a test says, and keeps a log of the requests |
//! | [`S3`] | S3, as far as storing and reading objects needs it |
//! | [`environment`], [`aws_config`], [`openai_client`] | configurations for any of them |
//!
//! The Lambda runtime around a function's binary is in `hooks-testing-lambda`. Where AWS's own behaviour matters, tests
//! run against `ministack` instead. Failures here are panics: whoever sees them is a test.
#![expect(clippy::missing_panics_doc, clippy::panic, clippy::unwrap_used, reason = "only tests use it")]

mod s3;
mod server;

pub use axum::http::{HeaderMap, Method};
pub use s3::{BUCKET, Object, S3};
pub use server::{Reply, Request, Server};

use hooks_aws::{Config, Environment};
use hooks_openai::{Client, ClientConfig};

/// A function's environment: the credentials of tests, AWS at `url`, and these variables.
#[must_use]
pub fn environment<const N: usize>(url: &str, variables: [(&str, &str); N]) -> Environment {
    let aws = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    aws.into_iter().chain(variables).collect()
}

/// Access to the AWS at `url`.
#[must_use]
pub fn aws_config(url: &str) -> Config {
    Config::from_env(&mut environment(url, [])).unwrap()
}

/// A client of the OpenAI at `url`, which has its API under `/v1`.
#[must_use]
pub fn openai_client(url: &str) -> Client {
    let base_url = format!("{url}/v1").parse().unwrap();
    Client::new(ClientConfig { base_url, api_key: "sk-local".parse().unwrap() }).unwrap()
}
