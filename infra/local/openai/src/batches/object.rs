//! The batch object, field by field in OpenAI's order.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::shelf::Identified;

/// Where a batch stands. In the order of its life, so that a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Validating,
    InProgress,
    Finalizing,
    Cancelling,
    Completed,
    Failed,
    Expired,
    Cancelled,
}

impl Status {
    pub(crate) fn is_terminal(self) -> bool {
        self >= Self::Completed
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The id of a file that may not be there. OpenAI has said so in three ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum FileId {
    /// `null`.
    #[default]
    Null,
    /// No such field at all.
    Omitted,
    /// An id, or the empty string.
    Text(String),
}

impl FileId {
    fn is_omitted(&self) -> bool {
        *self == Self::Omitted
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

/// Why a batch failed as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchError {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) param: Option<String>,
    #[serde(default)]
    pub(crate) line: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Errors {
    object: &'static str,
    data: Vec<BatchError>,
}

impl Errors {
    pub(crate) fn new(data: Vec<BatchError>) -> Self {
        Self { object: "list", data }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    input_tokens_details: InputDetails,
    pub(crate) output_tokens: u64,
    output_tokens_details: OutputDetails,
    pub(crate) total_tokens: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, input_tokens: u64, output_tokens: u64) {
        self.input_tokens += input_tokens;
        self.output_tokens += output_tokens;
        self.total_tokens += input_tokens + output_tokens;
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    pub(crate) endpoint: String,
    pub(crate) model: Option<String>,
    pub(crate) errors: Option<Errors>,
    pub(crate) input_file_id: String,
    pub(crate) completion_window: &'static str,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "FileId::is_omitted")]
    pub(crate) output_file_id: FileId,
    #[serde(skip_serializing_if = "FileId::is_omitted")]
    pub(crate) error_file_id: FileId,
    pub(crate) created_at: i64,
    pub(crate) in_progress_at: Option<i64>,
    pub(crate) expires_at: i64,
    pub(crate) finalizing_at: Option<i64>,
    pub(crate) completed_at: Option<i64>,
    pub(crate) failed_at: Option<i64>,
    pub(crate) expired_at: Option<i64>,
    pub(crate) cancelling_at: Option<i64>,
    pub(crate) cancelled_at: Option<i64>,
    pub(crate) request_counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// How long the files it writes live, seconds.
    #[serde(skip)]
    pub(crate) output_life: i64,
}

impl Batch {
    /// Sets the times of the states that lead to `status` and were not reached before, and the status.
    pub(crate) fn reach(&mut self, status: Status, at: i64) {
        let (executed, finalized) = match status {
            Status::InProgress | Status::Cancelled => (true, false),
            Status::Finalizing | Status::Completed | Status::Expired => (true, true),
            Status::Validating | Status::Cancelling | Status::Failed => (false, false),
        };
        if executed {
            self.in_progress_at.get_or_insert(at);
        }
        if finalized {
            self.finalizing_at.get_or_insert(at);
        }
        match status {
            Status::Completed => self.completed_at = Some(at),
            Status::Failed => self.failed_at = Some(at),
            Status::Expired => self.expired_at = Some(at),
            Status::Cancelled => {
                self.cancelling_at.get_or_insert(at);
                self.cancelled_at = Some(at);
            }
            Status::Validating | Status::InProgress | Status::Finalizing | Status::Cancelling => {}
        }
        self.status = status;
    }
}

impl Identified for Batch {
    fn id(&self) -> &str {
        &self.id
    }
}
