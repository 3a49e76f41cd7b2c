//! What the functions ask of AWS, one module per need.
//!
//! A function reads its [`Environment`] once, makes one [`Config`] of it, and hands that to the modules it needs. The
//! `Config` carries the credentials and the one HTTP client, so that a connection opened by one module serves all.
//! The functions are built together, so there are no features: the linker drops what a function does not call.
//!
//! Functions see no type of the AWS SDK. What only one program of ours asks of AWS stands in that program: it makes the
//! SDK's clients from [`Config::sdk`], and says why a call failed with [`cause`].
//!
//! | module | AWS service | what it is for |
//! |---|---|---|
//! | [`secrets`] | Secrets Manager | signing secrets with their rotation, API keys |
//! | [`queue`] | SQS | from the verifier to the consumers, and to the dead-letter queue |
//! | [`ledger`] | DynamoDB | which events, effects and jobs are where |
//! | [`artifacts`] | S3 | what is worth keeping |
//! | [`outcomes`] | EventBridge, SNS | telling other systems, and people |
//! | [`parameters`] | Systems Manager | settings that outlive a deployment |

mod cause;
mod config;
mod direct;
mod environment;
mod http;

pub mod artifacts;
pub mod ledger;
pub mod outcomes;
pub mod parameters;
pub mod queue;
pub mod secrets;

pub use cause::{cause, chain};
pub use config::Config;
pub use environment::{Environment, Faults};
pub use http::Http;
