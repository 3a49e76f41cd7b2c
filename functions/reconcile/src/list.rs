//! The lists at OpenAI that are scanned.

use hooks_openai::{AgentSession, Batch, Client, FineTuningJob, OpenAiError, Page};
use tokio::time::Instant;

use crate::missed_event::MissedEvent;

/// A day in seconds.
const DAY: i64 = 24 * 60 * 60;

/// A list at OpenAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenAiList {
    Batches,
    FineTuningJobs,
    AgentSessions,
}

/// One page of a list.
pub(crate) struct ListPage {
    /// Number of entries.
    pub(crate) entries: usize,
    /// The events of those that have ended.
    pub(crate) events: Vec<MissedEvent>,
    /// When its oldest entry was created, in Unix seconds.
    pub(crate) oldest: Option<i64>,
    /// The entry behind which the next page begins.
    pub(crate) next: Option<String>,
}

impl OpenAiList {
    pub(crate) const ALL: [Self; 3] = [Self::Batches, Self::FineTuningJobs, Self::AgentSessions];

    /// The name in bookmarks and results.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::FineTuningJobs => "fine_tuning_jobs",
            Self::AgentSessions => "agent_sessions",
        }
    }

    /// Longest time from creation to end, in seconds; older entries are ignored. A batch has 24 hours, and its files take
    /// some time. The others have no known limit.
    pub(crate) const fn longest_life(self) -> i64 {
        match self {
            Self::Batches => 3 * DAY,
            Self::FineTuningJobs | Self::AgentSessions => 30 * DAY,
        }
    }

    /// Gets the page behind `after`, the newest entries first.
    pub(crate) async fn page(
        self,
        openai: &Client,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<ListPage, OpenAiError> {
        Ok(match self {
            Self::Batches => {
                let page = openai.batches(after, limit, deadline).await?;
                ListPage::of(page, |batch: &Batch| batch.time("created_at"), MissedEvent::of_batch)
            }
            Self::FineTuningJobs => {
                let page = openai.fine_tuning_jobs(after, limit, deadline).await?;
                ListPage::of(page, |job: &FineTuningJob| job.created_at, MissedEvent::of_job)
            }
            Self::AgentSessions => {
                let page = openai.agent_sessions(after, limit, deadline).await?;
                ListPage::of(page, |session: &AgentSession| session.created_at, MissedEvent::of_session)
            }
        })
    }
}

impl ListPage {
    fn of<T>(page: Page<T>, created_at: impl Fn(&T) -> Option<i64>, event: impl Fn(&T) -> Option<MissedEvent>) -> Self {
        if page.unreadable > 0 {
            tracing::warn!("{} entries of a list of OpenAI's are unreadable, and are left out", page.unreadable);
        }
        Self {
            entries: page.items.len() + page.unreadable,
            events: page.items.iter().filter_map(event).collect(),
            oldest: page.items.iter().filter_map(created_at).min(),
            next: page.next,
        }
    }
}
