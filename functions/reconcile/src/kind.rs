//! The lists of OpenAI's that are gone through.

use hooks_openai::{AgentSession, Batch, Client, FineTuningJob, OpenAiError, Page};
use tokio::time::Instant;

use crate::ending::Ending;

/// A day in seconds.
const DAY: i64 = 24 * 60 * 60;

/// A list of OpenAI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Batches,
    FineTuningJobs,
    AgentSessions,
}

/// One page of such a list.
pub(crate) struct Listed {
    /// How many entries it has.
    pub(crate) entries: usize,
    /// Those that have ended.
    pub(crate) endings: Vec<Ending>,
    /// When its oldest entry was created, in Unix seconds.
    pub(crate) oldest: Option<i64>,
    /// Behind which entry the next page begins.
    pub(crate) next: Option<String>,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Batches, Self::FineTuningJobs, Self::AgentSessions];

    /// The name in bookmarks and results.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::FineTuningJobs => "fine_tuning_jobs",
            Self::AgentSessions => "agent_sessions",
        }
    }

    /// How long after its creation an entry may end, in seconds; those created earlier than that are not looked at. A
    /// batch has 24 hours, and its files take some time. The others have no limit that is known.
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
    ) -> Result<Listed, OpenAiError> {
        Ok(match self {
            Self::Batches => {
                let page = openai.batches(after, limit, deadline).await?;
                Listed::of(page, |batch: &Batch| batch.time("created_at"), Ending::of_batch)
            }
            Self::FineTuningJobs => {
                let page = openai.fine_tuning_jobs(after, limit, deadline).await?;
                Listed::of(page, |job: &FineTuningJob| job.created_at, Ending::of_job)
            }
            Self::AgentSessions => {
                let page = openai.agent_sessions(after, limit, deadline).await?;
                Listed::of(page, |session: &AgentSession| session.created_at, Ending::of_session)
            }
        })
    }
}

impl Listed {
    fn of<T>(page: Page<T>, created_at: impl Fn(&T) -> Option<i64>, ending: impl Fn(&T) -> Option<Ending>) -> Self {
        Self {
            entries: page.items.len(),
            endings: page.items.iter().filter_map(ending).collect(),
            oldest: page.items.iter().filter_map(created_at).min(),
            next: page.next,
        }
    }
}
