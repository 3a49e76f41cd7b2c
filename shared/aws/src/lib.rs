//! What the functions ask of AWS, one module per need.
//!
//! A function reads its [`Environment`] once, makes one [`Config`] of it, and hands that to the modules it needs. The
//! `Config` carries the credentials and the one HTTP client, so that a connection opened by one module serves all.
//! The functions are built together, so there are no features: the linker drops what a function does not call.
//!
//! | module | AWS service | what it is for |
//! |---|---|---|
//! | [`secrets`] | Secrets Manager | signing secrets with their rotation, API keys |
//! | [`queue`] | SQS | from the verifier to the consumers, and to the dead-letter queue |
//! | [`ledger`] | DynamoDB | which events, effects and jobs are where |
//! | [`artifacts`] | S3 | what is worth keeping |
//! | [`outcomes`] | EventBridge, SNS | telling other systems, and people |
//! | [`metrics`] | CloudWatch | what was counted, for people |
//! | [`parameters`] | Systems Manager | settings that outlive a deployment |
//! | [`stack`] | CloudFormation | where a stack's parts are, for people's tools |
//! | [`profile`] | STS, single sign-on | a person's own access |

mod cause;
pub mod clock;
mod config;
mod direct;
mod environment;
mod http;

pub mod artifacts;
pub mod ledger;
pub mod metrics;
pub mod outcomes;
pub mod parameters;
pub mod profile;
pub mod queue;
pub mod secrets;
pub mod stack;

pub use config::Config;
pub use environment::{Environment, Faults};
