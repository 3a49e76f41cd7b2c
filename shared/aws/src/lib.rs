//! AWS clients of the functions, one module per purpose.
//!
//! A function reads its [`Environment`] once, creates one [`Config`] from it, and passes that to the modules it needs. The
//! `Config` holds the credentials and the one HTTP client, so all modules share connections. There are no Cargo features:
//! the functions are built together, and the linker drops unused modules.
//!
//! Functions see no type of the AWS SDK. A program with AWS calls of its own creates SDK clients from [`Config::sdk`] and
//! formats their errors with [`cause`](cause()).
//!
//! | module | AWS service | purpose |
//! |---|---|---|
//! | [`secrets`] | Secrets Manager | signing secrets and their rotation, API keys |
//! | [`queue`] | SQS | queues of the categories, dead-letter queues |
//! | [`ledger`] | DynamoDB | idempotency records, the event log, jobs, expectations |
//! | [`artifacts`] | S3 | fetched objects and results |
//! | [`outcomes`] | EventBridge, SNS | outcomes for other systems, alerts for people |
//! | [`alerts`] | DynamoDB, SNS | alerts of one kind, grouped |
//! | [`functions`] | Lambda | invocations of other functions |
//! | [`identity`] | STS | proof for OpenAI of who a function is |
//! | [`caller`] | STS | proof for a function of who invokes it |
//! | [`parameters`] | Systems Manager | settings that outlive a deployment |

mod cause;
pub mod clock;
mod config;
mod direct;
mod environment;
mod http;

pub mod alerts;
pub mod artifacts;
pub mod caller;
pub mod functions;
pub mod identity;
pub mod ledger;
pub mod outcomes;
pub mod parameters;
pub mod queue;
pub mod secrets;
pub mod supervisors;

pub use cause::{AwsError, cause, chain};
pub use config::Config;
pub use environment::{Environment, EnvironmentError};
pub use http::Http;
