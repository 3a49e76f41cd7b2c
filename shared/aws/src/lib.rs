//! What the functions ask of AWS, one module per need.
//!
//! A function reads its [`Environment`] once, makes one [`Config`] of it, and hands that to the modules it needs. The
//! `Config` carries the credentials and the one HTTP client, so that a connection opened by one module serves all.
//! Every module is behind a feature of its own name; no AWS SDK type leaves this crate. The feature `send` has of the
//! queue only what the verifier needs.
//!
//! | module | AWS service | what it is for |
//! |---|---|---|
#![cfg_attr(
    feature = "secrets",
    doc = "| [`secrets`] | Secrets Manager | signing secrets with their rotation, API keys |"
)]
#![cfg_attr(
    feature = "send",
    doc = "| [`queue`] | SQS | from the verifier to the consumers, and to the dead-letter queue |"
)]
#![cfg_attr(feature = "ledger", doc = "| [`ledger`] | DynamoDB | which events, effects and jobs are where |")]
#![cfg_attr(feature = "artifacts", doc = "| [`artifacts`] | S3 | what is worth keeping |")]
#![cfg_attr(feature = "outcomes", doc = "| [`outcomes`] | EventBridge, SNS | telling other systems, and people |")]
#![cfg_attr(feature = "metrics", doc = "| [`metrics`] | CloudWatch | what was counted, for people |")]
#![cfg_attr(feature = "parameters", doc = "| [`parameters`] | Systems Manager | settings that outlive a deployment |")]
#![cfg_attr(feature = "stack", doc = "| [`stack`] | CloudFormation | where a stack's parts are, for people's tools |")]
#![cfg_attr(feature = "profile", doc = "| [`profile`] | STS, single sign-on | a person's own access |")]

#[cfg(any(
    feature = "artifacts",
    feature = "ledger",
    feature = "metrics",
    feature = "outcomes",
    feature = "parameters",
    feature = "profile",
    feature = "queue",
    feature = "secrets",
    feature = "stack"
))]
mod cause;
pub mod clock;
mod config;
#[cfg(feature = "send")]
mod direct;
mod environment;
mod http;

#[cfg(feature = "artifacts")]
pub mod artifacts;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "outcomes")]
pub mod outcomes;
#[cfg(feature = "parameters")]
pub mod parameters;
#[cfg(feature = "profile")]
pub mod profile;
#[cfg(feature = "send")]
pub mod queue;
#[cfg(feature = "secrets")]
pub mod secrets;
#[cfg(feature = "stack")]
pub mod stack;

pub use config::Config;
pub use environment::{Environment, Faults};
