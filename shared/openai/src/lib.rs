//! A thin, tolerant client for the OpenAI calls of this workspace.
//!
//! A webhook carries little more than an object's id, so every consumer begins by retrieving the object. [`Client`] has
//! those calls, and the calls that submit batches, list objects and manage webhook endpoints. Four rules hold for all:
//!
//! - **Tolerant.** A type has the few fields that are used; [`Batch::raw`] has the rest, byte for byte. A missing or unknown
//!   field, a field of an unexpected type and an unknown status never make an answer unreadable, and neither does an odd
//!   value that JSON allows ([`Json`]).
//! - **Classified.** Every [`OpenAiError`] has an [`ErrorClass`]: retry, not found, unauthorized, quota exhausted or
//!   permanent. [`OpenAiError::retry_after`] is the pause that OpenAI asks for.
//! - **No retries.** A call is made once. Callers have a queue with a growing delay and a limit of attempts; retries in
//!   here would use up both unnoticed.
//! - **Deadlines.** Every call takes a deadline. Independently of it, no call waits longer for an answer, or for the next
//!   piece of a file, than a healthy connection needs.
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
mod fine_tuning;
mod key;
mod models;
mod objects;
mod page;
mod phone_calls;
mod response;
mod safety;
mod sideband;
mod submit;
mod token;

pub use agents::{AgentEnvironment, AgentSession, AgentTurn};
pub use client::{Client, ClientConfig, ClientConfigError, InProcess, http_client};
pub use content::FileContent;
pub use endpoints::{EndpointChange, EndpointSecret, WebhookEndpoint};
pub use error::{ErrorClass, OpenAiError};
pub use fine_tuning::{FineTuningJob, FineTuningList};
/// Texts of OpenAI, made safe to show.
pub use hooks_text::for_display;
/// The API of a phone call.
pub use hooks_webhook::CallApi;
/// The reader of every answer.
pub use hooks_webhook::Json;
pub use key::{ApiKey, ApiKeyError};
pub use models::Model;
pub use objects::{Batch, BatchError, BatchStatus, File, RequestCounts, read_error};
pub use page::Page;
pub use phone_calls::{ClientSecret, LiveSession};
/// The type of [`http_client`].
pub use reqwest::Client as HttpClient;
/// The type of [`ClientConfig::base_url`].
pub use reqwest::Url;
pub use response::{NewResponse, Response, ResponseStatus};
pub use safety::{SafetyAlert, SafetyCase};
pub use sideband::{
    AttachError, CallText, CloseReason, Command, Confirmation, Delegation, Dial, Disconnect, EventKind, Gap, Item,
    MAX_COMMAND_BYTES, MAX_EVENT_BYTES, Refusal, ResponseDone, ServerEvent, ServerMessage, SessionState, Side,
    Sideband, SidebandError, SkippedAudio, TokenUsage, ToolCall, Transcript, Transport,
};
pub use submit::{NewBatch, Upload};
pub use token::{AUDIENCE, AccessToken, TokenError, WorkloadIdentity};
