//! The item of a bookmark: how far somebody got in a list that is too long for one go.

use super::Ledger;
use super::change::Change;
use super::value::{number, read_number, read_text, text};
use crate::AwsError;

const SK: &str = "bookmark";

/// Place that reconciliation got to in one of OpenAI's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// Time in Unix seconds; what ended before is none of ours.
    pub since: i64,
    /// Entry behind which to go on; from the top when there is none.
    pub after: Option<String>,
    /// Number of attempts in a row that have failed.
    pub failures: u32,
}

impl Ledger {
    /// The bookmark in the list of this kind. Needs `dynamodb:GetItem`.
    pub async fn bookmark(&self, kind: &str) -> Result<Option<Bookmark>, AwsError> {
        let item = self.item("read the bookmark", &pk(kind), SK).await?;
        Ok(item.and_then(|item| {
            let after = read_text(&item, "after").map(str::to_owned);
            let failures = read_number(&item, "failures").and_then(|failures| failures.try_into().ok()).unwrap_or(0);
            Some(Bookmark { since: read_number(&item, "since")?, after, failures })
        }))
    }

    /// Moves the bookmark in the list of this kind, whose `since` stays as it was first written. It does not expire:
    /// without it everything would begin anew.
    pub async fn set_bookmark(&self, kind: &str, bookmark: &Bookmark) -> Result<(), AwsError> {
        let change = Change::default()
            .set("since", number(bookmark.since))
            .set_or_remove("after", bookmark.after.as_deref().map(text))
            .set("failures", number(bookmark.failures.into()));
        let condition = "attribute_not_exists(pk) OR #since = :since";
        self.change("move the bookmark", &pk(kind), SK, change, condition).await.map(drop)
    }
}

fn pk(kind: &str) -> String {
    format!("reconcile#{kind}")
}
