//! Categories of events.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Declares [`Category`] and everything that lists the categories: the variant, its name, the prefixes of its types.
macro_rules! categories {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal: $($prefix:literal)*;)+) => {
        /// Category of an event, by its type. Every category has a queue and a consumer of its own.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Category {
            $($(#[$doc])+ $variant,)+
        }

        const PREFIXES: &[(&str, Category)] = &[$($(($prefix, Category::$variant),)*)+];

        impl Category {
            /// Every category, in the order of the table.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name used for functions, queues and configuration, such as `fine-tuning`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

// The prefix decides, so unknown types have a category too.
categories! {
    /// A batch of requests reached an end.
    Batch = "batch": "batch.";
    /// A background response reached an end.
    Response = "response": "response.";
    /// A fine-tuning job reached an end.
    FineTuning = "fine-tuning": "fine_tuning." "fine_tune.";
    /// An incoming phone call or live session.
    Realtime = "realtime": "realtime." "live.";
    /// An agent's session or environment changed.
    Agent = "agent": "agent.";
    /// A notice that people must see.
    Safety = "safety": "safety." "safety_identifier.";
    /// Something about an uploaded file.
    File = "file": "file.";
    /// Everything else: recorded and published unchanged.
    Archive = "archive": ;
}

impl Category {
    /// The category of an event type, known or not.
    #[must_use]
    pub fn of(event_type: &str) -> Self {
        PREFIXES
            .iter()
            .find(|(prefix, _)| event_type.starts_with(prefix))
            .map_or(Self::Archive, |&(_, category)| category)
    }

    /// Whether a program may expect the end of its objects (docs/expectations.md): it asked OpenAI for them and waits.
    /// Everything else comes from OpenAI unasked.
    #[must_use]
    pub const fn can_be_expected(self) -> bool {
        matches!(self, Self::Batch | Self::Response | Self::FineTuning)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The text is not the name of a category.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is not a category; the categories are {categories}", categories = Category::ALL.map(Category::as_str).join(", "))]
pub struct CategoryError(String);

impl FromStr for Category {
    type Err = CategoryError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|category| category.as_str() == name).ok_or_else(|| CategoryError(name.to_owned()))
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
        for event_type in [
            "eval.run.canceled",
            "video.completed",
            "brand.new",
            "batch",
            "batches.completed",
            "Batch.completed",
            "",
            ".",
        ] {
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
