//! Parts that every function shares.
//!
//! | module or type | purpose |
//! |---|---|
//! | [`start`](start()), [`run`] | the two lines of a function's `main`: telemetry, environment, the Lambda runtime |
//! | [`Deadline`] | the end of an invocation, and the time to keep back before it |
//! | [`OpenAi`], [`ApiKeySecret`] | the OpenAI client with the API key of Secrets Manager, with and without a cache |
//! | [`Cached`] | a value with a time to keep it, a cooldown, and the last good value when a read fails |
//! | [`clock`] | the current time |
//! | [`text`] | times and durations for people |
//!
//! ```no_run
//! use hooks_function::{Deadline, Environment, Error, EnvironmentError};
//!
//! struct Greeter {
//!     greeting: String,
//! }
//!
//! impl Greeter {
//!     fn from_env(mut environment: Environment) -> Result<Self, EnvironmentError> {
//!         let greeting = environment.required("GREETING");
//!         environment.finish(|| Some(Self { greeting: greeting? }))
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Error> {
//!     let greeter = hooks_function::start(Greeter::from_env)?;
//!     hooks_function::run(async |name: String, _: Deadline| Ok::<_, Error>(format!("{}, {name}", greeter.greeting))).await
//! }
//! ```

mod cached;
mod deadline;
mod openai;
mod start;
pub mod text;

pub use cached::{Cached, Last, Refresh, Rules};
pub use deadline::Deadline;
pub use hooks_aws::{Config, Environment, EnvironmentError, clock};
pub use lambda_runtime::Error;
pub use openai::{ApiKeySecret, ApiKeySecretError, OpenAi};
pub use start::{run, start};
