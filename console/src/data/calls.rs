//! Live calls, and all that is known of one.

use hooks_aws::ledger::{Control, SessionRecord, ToolCall};
use hooks_operate::calls::{self, Utterance, document, utterances};
use hooks_operate::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::Result;
use crate::console::Console;

/// Longest cursor of a transcript.
pub(crate) const MAX_CURSOR: usize = 64;

/// What is known of an id.
pub(crate) enum Found {
    /// A session that is, or was, supervised.
    Session(Box<SessionRecord>),
    /// A call that nobody supervises: its last status.
    Job(String),
    Nothing,
}

/// A call with all that is known of it.
pub(crate) struct Detail {
    pub(crate) record: SessionRecord,
    pub(crate) said: Vec<Utterance>,
    pub(crate) cursor: Option<String>,
    pub(crate) tools: Vec<ToolCall>,
    pub(crate) asked: Vec<Control>,
}

pub(crate) async fn find(console: &Console, id: &str) -> Result<Found> {
    if !calls::is_id(id) {
        return Ok(Found::Nothing);
    }
    if let Some(record) = calls::find(&console.ledger, id).await? {
        return Ok(Found::Session(Box::new(record)));
    }
    let job = console.ledger.job("realtime", id).await?;
    Ok(job.map_or(Found::Nothing, |job| Found::Job(job.status)))
}

/// All that is known of a call, of its transcript what came after a cursor.
pub(crate) async fn detail(console: &Console, record: SessionRecord, after: Option<&str>) -> Result<Detail> {
    let key = (record.api.as_str(), record.id.as_str());
    let (lines, tools, asked) = tokio::join!(
        Box::pin(console.ledger.transcript(key, after, None)),
        Box::pin(console.ledger.tool_calls(key)),
        Box::pin(console.ledger.controls(key))
    );
    let ((lines, cursor), mut tools, asked) = (lines?, tools?, asked?);
    tools.sort_by_key(|tool| tool.claimed_at);
    Ok(Detail { said: utterances(&lines), cursor, tools, asked, record })
}

/// The same as JSON, as `calls show --json` prints it.
pub(crate) fn detail_document(detail: &Detail) -> Value {
    let mut all = document(&detail.record);
    all["transcript"] = detail.said.iter().map(calls::utterance_document).collect();
    all["cursor"] = json!(detail.cursor);
    all["tools"] = detail.tools.iter().map(calls::tool_document).collect();
    all["asked"] = detail.asked.iter().map(calls::asked_document).collect();
    all
}

/// Milliseconds since the first attachment, until now or the end.
pub(crate) fn length(record: &SessionRecord) -> Option<i64> {
    let end = record.ended_at.unwrap_or_else(|| Timestamp::now().0);
    Some((end - record.active_at?).max(0))
}
