//! A thin, tolerant client for the OpenAI calls that are made here.
//!
//! A webhook names an object and says next to nothing about it, so every consumer begins by retrieving that object.
//! [`Client`] has those calls, and the ones that submit batches, list what there is and manage webhook endpoints. Four
//! rules hold for all of them:
//!
//! - **Tolerant.** A type has the few fields that are used, and [`Batch::raw`] the rest. A field that is missing, of
//!   an unexpected kind or unknown, and a status that nobody has seen yet, never make an answer unreadable.
//! - **Classified.** Every [`OpenAiError`] has an [`ErrorClass`]: retry, not found, unauthorized, quota exhausted or
//!   permanent. [`OpenAiError::retry_after`] is the pause that OpenAI asks for.
//! - **Not repeated.** A call is made once. Who calls has a queue with a growing delay and a budget of attempts, and
//!   attempts hidden in here would spend both unseen.
//! - **In time.** Every call takes the instant by which it must be over, and no call waits longer for an answer, or for
//!   the next piece of a file, than a healthy connection needs.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tokio::time::Instant;
//!
//! let config = hooks_openai::ClientConfig { base_url: "https://eu.api.openai.com/v1".parse()?, api_key: "sk-...".parse()? };
//! let client = hooks_openai::Client::new(config)?;
//! let deadline = Instant::now() + Duration::from_secs(60);
//!
//! let batch = client.batch("batch_67ae1f5cc0", deadline).await?;
//! if let Some(id) = &batch.output_file_id {
//!     let mut content = client.file_content(id, deadline).await?;
//!     while let Some(bytes) = content.chunk().await? {
//!         println!("{} bytes of {}", bytes.len(), batch.id);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod agents;
mod client;
mod content;
mod endpoints;
mod error;
mod evals;
mod fine_tuning;
mod key;
mod objects;
mod page;
mod phone_calls;
mod response;
mod safety;
mod submit;
mod text;

pub use agents::{AgentEnvironment, AgentSession, AgentTurn};
pub use client::{Client, ClientConfig, ClientConfigError, http_client};
pub use content::FileContent;
pub use endpoints::{EndpointChange, EndpointSecret, WebhookEndpoint};
pub use error::{ErrorClass, OpenAiError};
pub use evals::{EvalPage, EvalRun};
pub use fine_tuning::{FineTuningJob, FineTuningList};
pub use key::{ApiKey, ApiKeyError};
pub use objects::{Batch, BatchError, BatchStatus, File, RequestCounts};
pub use page::Page;
pub use phone_calls::CallApi;
/// What [`http_client`] makes.
pub use reqwest::Client as HttpClient;
/// The type of [`ClientConfig::base_url`].
pub use reqwest::Url;
pub use response::{NewResponse, Response, ResponseStatus};
pub use safety::{SafetyAlert, SafetyCase};
pub use submit::{NewBatch, Upload};
pub use text::for_display;
