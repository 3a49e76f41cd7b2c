//! Which part of the system an event belongs to.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What an event is about. Every category has a queue and a consumer of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Category {
    /// `batch.`: a batch of requests reached an end.
    Batch,
    /// `response.`: a background response reached an end.
    Response,
    /// `fine_tuning.` and `fine_tune.`: a fine-tuning job reached an end.
    FineTuning,
    /// `eval.`: a run of an eval reached an end.
    Eval,
    /// `realtime.` and `live.`: a phone call or a live session waits for somebody to take it.
    Realtime,
    /// `agent.`: an agent's session or environment changed.
    Agent,
    /// `safety.` and `safety_identifier.`: a notice that people must see.
    Safety,
    /// `file.`: something about an uploaded file.
    File,
    /// Everything else: kept and passed on unchanged.
    Archive,
}

/// The prefix decides, so a type that nobody has seen yet still finds its way.
const PREFIXES: [(&str, Category); 11] = [
    ("batch.", Category::Batch),
    ("response.", Category::Response),
    ("fine_tuning.", Category::FineTuning),
    ("fine_tune.", Category::FineTuning),
    ("eval.", Category::Eval),
    ("realtime.", Category::Realtime),
    ("live.", Category::Realtime),
    ("agent.", Category::Agent),
    ("safety.", Category::Safety),
    ("safety_identifier.", Category::Safety),
    ("file.", Category::File),
];

impl Category {
    /// Every category, in the order of the prefix table.
    pub const ALL: [Self; 9] = [
        Self::Batch,
        Self::Response,
        Self::FineTuning,
        Self::Eval,
        Self::Realtime,
        Self::Agent,
        Self::Safety,
        Self::File,
        Self::Archive,
    ];

    /// The category of an event type, known or not.
    #[must_use]
    pub fn of(event_type: &str) -> Self {
        PREFIXES
            .iter()
            .find(|(prefix, _)| event_type.starts_with(prefix))
            .map_or(Self::Archive, |&(_, category)| category)
    }

    /// The name used for functions, queues and configuration, such as `fine-tuning`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Response => "response",
            Self::FineTuning => "fine-tuning",
            Self::Eval => "eval",
            Self::Realtime => "realtime",
            Self::Agent => "agent",
            Self::Safety => "safety",
            Self::File => "file",
            Self::Archive => "archive",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The text names none of the categories.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "`{0}` is no category; the categories are batch, response, fine-tuning, eval, realtime, agent, safety, file, archive"
)]
pub struct UnknownCategory(String);

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|category| category.as_str() == name).ok_or_else(|| UnknownCategory(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_decides_the_category() {
        for (event_type, category) in [
            ("batch.completed", Category::Batch),
            ("batch.in_progress", Category::Batch),
            ("response.incomplete", Category::Response),
            ("fine_tuning.job.succeeded", Category::FineTuning),
            ("fine_tune.completed", Category::FineTuning),
            ("eval.run.canceled", Category::Eval),
            ("realtime.call.incoming", Category::Realtime),
            ("live.transport.connected", Category::Realtime),
            ("agent.session.idle", Category::Agent),
            ("safety.org_alert.created", Category::Safety),
            ("safety_identifier.blocked", Category::Safety),
            ("file.processed", Category::File),
        ] {
            assert_eq!(Category::of(event_type), category, "{event_type}");
        }
    }

    #[test]
    fn what_no_prefix_claims_goes_to_the_archive() {
        for event_type in ["video.completed", "batch", "batches.completed", "Batch.completed", "", "."] {
            assert_eq!(Category::of(event_type), Category::Archive, "{event_type:?}");
        }
    }

    #[test]
    fn a_category_is_read_back_from_its_name() {
        for category in Category::ALL {
            assert_eq!(category.to_string().parse(), Ok(category));
        }
        assert!("fine_tuning".parse::<Category>().is_err());
        assert!("".parse::<Category>().is_err());
    }
}
