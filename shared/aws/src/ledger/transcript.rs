//! The items of a session's transcript: one line each, written as it comes.
//!
//! Two supervisors may write the same line while one hands over to the other, so a line has a key, and whoever reads takes
//! the first one of each.

use std::collections::HashSet;
use std::time::Duration;

use super::Ledger;
use super::change::{Change, Item};
use super::session::pk;
use super::value::{number, read_number, read_text, text};
use crate::AwsError;

/// Beginning of the sort keys.
const SK: &str = "line#";

/// Time for which lines and tool calls are kept here. At the session's end they become artifacts, which have a retention of
/// their own.
pub(super) const LIFETIME: Duration = Duration::from_hours(3 * 24);

/// Maximum length of a line's text, in bytes. An item holds 400 KB.
const MAX_TEXT: usize = 64 * 1024;

/// A line of a transcript.
#[derive(Clone, PartialEq, Eq)]
pub struct TranscriptLine {
    /// Time at which it came, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Who: `caller`, `assistant`, `tool`, `person`, `supervisor`.
    pub role: String,
    /// Text.
    pub text: String,
    /// Key, the same whoever writes the line.
    pub key: String,
}

impl Ledger {
    /// Writes a line. `order` tells lines of one millisecond apart; it is unique within the writer's generation.
    pub async fn write_line(
        &self,
        (api, id): (&str, &str),
        line: &TranscriptLine,
        order: (u32, u64),
    ) -> Result<(), AwsError> {
        let sk = format!("{SK}{:014}#{:06}#{:08}", line.at, order.0, order.1);
        let bounded = &line.text[..line.text.floor_char_boundary(MAX_TEXT)];
        let change = Change::default()
            .set("at", number(line.at))
            .set("role", text(&line.role))
            .set("text", text(bounded))
            .set("key", text(&line.key))
            .set("expires_at", number(line.at / 1000 + LIFETIME.as_secs().cast_signed()));
        // Written twice it is there once.
        let condition = "attribute_not_exists(pk) OR #key = :key";
        self.change("write the transcript", &pk(api, id), &sk, change, condition).await.map(drop)
    }

    /// The lines of a transcript behind a cursor, with the cursor of the last one; from the first on without a cursor. At
    /// most `limit`, if there is one. Needs `dynamodb:Query`.
    pub async fn transcript(
        &self,
        (api, id): (&str, &str),
        after: Option<&str>,
        limit: Option<i32>,
    ) -> Result<(Vec<TranscriptLine>, Option<String>), AwsError> {
        // A space is before every character that follows in a key.
        let from = after.map_or_else(|| SK.to_owned(), |cursor| format!("{SK}{cursor} "));
        let items = self.items_of_session("read the transcript", &pk(api, id), (&from, "line#~"), limit).await?;
        let cursor = items.last().and_then(|item| read_text(item, "sk")?.strip_prefix(SK)).map(str::to_owned);
        let mut known = HashSet::new();
        let lines = items.iter().filter_map(TranscriptLine::read);
        Ok((lines.filter(|line| known.insert(line.key.clone())).collect(), cursor.or(after.map(str::to_owned))))
    }
}

impl TranscriptLine {
    fn read(item: &Item) -> Option<Self> {
        let said = |name| read_text(item, name).map(str::to_owned);
        Some(Self { at: read_number(item, "at")?, role: said("role")?, text: said("text")?, key: said("key")? })
    }
}

impl std::fmt::Debug for TranscriptLine {
    /// No text: it is what was said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TranscriptLine").field("at", &self.at).field("role", &self.role).finish_non_exhaustive()
    }
}
