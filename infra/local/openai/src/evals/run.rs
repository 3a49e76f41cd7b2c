//! A run of an eval.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shelf::Identified;
use crate::webhooks::{Delivery, Event, Scope, Webhooks};

/// Where a run stands; all but the first two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Queued,
    InProgress,
    Completed,
    Failed,
    Canceled,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::Queued | Self::InProgress)
    }

    /// The last word of the event that says so.
    fn event(self) -> &'static str {
        match self {
            Self::Completed => "succeeded",
            other => other.as_str(),
        }
    }
}

/// A run: the object as OpenAI shows it, any field of which a command may have set, and what is known beside it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Run {
    #[serde(skip)]
    pub(super) id: String,
    #[serde(skip)]
    pub(super) eval_id: String,
    #[serde(skip)]
    pub(super) status: Status,
    /// An object.
    pub(super) shown: Value,
}

impl Identified for Run {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Run {
    pub(super) fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.shown[field] = value.into();
    }

    pub(super) fn reach(&mut self, status: Status) {
        self.status = status;
        self.set("status", status.as_str());
    }

    /// Says to the project's endpoints that the run has come to its end. OpenAI names the run, and not its eval.
    pub(super) fn deliver(&self, webhooks: &Arc<Webhooks>) -> Vec<Delivery> {
        webhooks.send(Scope::Project, Event::thin(format!("eval.run.{}", self.status.event()), &self.id))
    }
}
