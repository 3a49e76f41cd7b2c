//! The sessions that have not ended, by the index `by-due`: `waiting` is `session`, `due_at` when it was opened.

use super::session::{PREFIX, SK, WAITING};
use super::value::{read_text, text};
use super::{Item, Ledger};
use crate::AwsError;

/// Sessions of one page.
const PAGE: i32 = 500;

/// A page of the sessions that have not ended.
#[derive(Clone, Debug, Default)]
pub struct OpenSessions {
    /// API and id of each, the oldest first.
    pub keys: Vec<(String, String)>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Item>,
}

impl Ledger {
    /// The sessions that have not ended, as far as was written. Needs `dynamodb:Query` on the index `by-due`, which lags
    /// behind the table by about a second.
    pub async fn open_sessions(&self, start: Option<Item>) -> Result<OpenSessions, AwsError> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by-due")
            .key_condition_expression("#waiting = :waiting")
            .expression_attribute_names("#waiting", "waiting")
            .expression_attribute_values(":waiting", text(WAITING))
            .set_exclusive_start_key(start)
            .limit(PAGE);
        let found = request.send().await.map_err(AwsError::of("list the open sessions"))?;
        Ok(OpenSessions { keys: found.items().iter().filter_map(key).collect(), next: found.last_evaluated_key })
    }
}

fn key(item: &Item) -> Option<(String, String)> {
    let (api, id) = read_text(item, "pk")?.strip_prefix(PREFIX)?.split_once('#')?;
    (read_text(item, "sk")? == SK).then(|| (api.to_owned(), id.to_owned()))
}
