//! Batches: submission of an input file that was checked, and the answers to its requests over all retries.
//!
//! A retry is a batch of its own with the requests of an earlier one that have no answer. Its metadata name its parent
//! ([`RETRY_OF`]), so it is known from the moment it exists, whatever dies afterwards, and without a record of ours.

mod answers;
mod family;
mod lines;
mod results;
mod retry;
mod submit;
mod work_folder;

pub use answers::{Answers, CodeCounts, MISSING, UNREADABLE};
pub use family::{Family, RETRY_OF, family, parent, resolve};
pub use results::{ResultCounts, ResultFormat, write_results};
pub use retry::{RetryFile, RetryPlan, plan_retry, retry_lease};
pub use submit::{MAX_METADATA, create, metadata_entry, upload};
pub use work_folder::WorkFolder;

use hooks_aws::artifacts::Artifacts;
use hooks_openai::Client;

/// Where the lines of a batch are read: its results in the stack's bucket if they are there, all else at OpenAI.
#[derive(Clone)]
pub struct Sources {
    /// OpenAI.
    pub openai: Client,
    /// The stack's bucket; `None` reads everything at OpenAI.
    pub artifacts: Option<Artifacts>,
}
