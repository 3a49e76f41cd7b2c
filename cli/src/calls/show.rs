//! `calls list`, `show` and `follow`: what the ledger knows of live calls.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use hooks_aws::ledger::{Control, Ledger, SessionRecord, ToolCall};
use hooks_operate::calls::{self, Utterance, asked_document, document, tool_document, utterance_document, utterances};
use serde_json::Value;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{counted, key_values, or_dash, table};
use crate::timestamp::{self, Timestamp, duration};

/// Default of `--since`, in seconds: a day.
const DEFAULT_SINCE: i64 = 86_400;

/// Pause between two looks at a call that is followed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// List supervised calls, newest first (default: the last 24 hours)
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls list --open")]
pub(crate) struct ListArgs {
    /// Earliest time of the call: a span (30m, 24h, 7d), a date or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    since: Option<Timestamp>,
    /// Calls that have not ended
    #[arg(long)]
    open: bool,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Show a call: its state, usage, transcript so far, tool calls, and what was asked of it
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls show live_123")]
pub(crate) struct ShowArgs {
    /// Id of the call, `live_...` or `rtc_...`, or its beginning
    #[arg(value_parser = id)]
    id: String,
}

/// Print the transcript of a call as it comes, until the call has ended
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls follow live_123")]
pub(crate) struct FollowArgs {
    /// Id of the call, `live_...` or `rtc_...`, or its beginning
    #[arg(value_parser = id)]
    id: String,
}

/// An id that can be one of OpenAI's.
pub(super) fn id(text: &str) -> std::result::Result<String, String> {
    if !calls::is_id(text) {
        return Err("is not the id of a call, such as live_123 or rtc_123".to_owned());
    }
    Ok(text.to_owned())
}

/// The session of a call, by its id or a beginning of it.
pub(super) async fn find(id: &str, context: &Context) -> Result<Option<SessionRecord>> {
    let ledger = context.ledger().await?;
    if let Some(session) = calls::find(&ledger, id).await? {
        return Ok(Some(session));
    }
    match calls::whole_id(&context.event_log().await?, id).await? {
        Some(whole) => Ok(calls::find(&ledger, &whole).await?),
        None => Ok(None),
    }
}

/// The session of a call that is supervised.
pub(super) async fn session(id: &str, context: &Context) -> Result<(Ledger, SessionRecord)> {
    match find(id, context).await? {
        Some(session) => Ok((context.ledger().await?, session)),
        None => Err(CliError::failed(format!("{} supervises no call {id}", context.options.stack)).hint(
            "See `openai-webhooks calls list`. Calls whose rule has no `supervise` are in `openai-webhooks events list \
             --category realtime`.",
        )),
    }
}

pub(super) async fn list(args: &ListArgs, context: &Context) -> Result {
    let since = args.since.unwrap_or_else(|| Timestamp::from_seconds(Timestamp::now().seconds() - DEFAULT_SINCE));
    let log = context.event_log().await?;
    let limit = args.limit.into();
    let mut found =
        if args.open { calls::open(log.ledger()).await? } else { calls::list(&log, since, None, limit).await?.calls };
    found.retain(|call| call.opened_at >= since.0);
    found.truncate(limit);
    let documents: Vec<Value> = found.iter().map(document).collect();
    context.out.lines(&documents, || {
        let row = |session: &SessionRecord| {
            [
                Timestamp(session.opened_at).text(),
                session.state.as_str().to_owned(),
                length(session).map_or_else(|| "-".to_owned(), duration),
                or_dash(fact(session, "from")),
                or_dash(fact(session, "to")),
                or_dash(session.reason.as_deref()),
                session.id.clone(),
            ]
        };
        match found.as_slice() {
            [] => format!("There are no supervised calls since {} UTC.", since.text()),
            found => table(
                ["CAME (UTC)", "STATE", "LENGTH", "FROM", "TO", "ENDED BY", "ID"],
                &found.iter().map(row).collect::<Vec<_>>(),
            ),
        }
    })
}

pub(super) async fn show(args: &ShowArgs, context: &Context) -> Result {
    let (ledger, session) = session(&args.id, context).await?;
    let key = (session.api.as_str(), session.id.as_str());
    let (lines, _) = ledger.transcript(key, None, None).await?;
    let (tools, asked) = (ledger.tool_calls(key).await?, ledger.controls(key).await?);
    let said = utterances(&lines);
    let mut document = document(&session);
    document["transcript"] = said.iter().map(utterance_document).collect();
    document["tools"] = tools.iter().map(tool_document).collect();
    document["asked"] = asked.iter().map(asked_document).collect();
    context.out.result(&document, || text(&session, &said, &tools, &asked))
}

pub(super) async fn follow(args: &FollowArgs, context: &Context) -> Result {
    let (ledger, mut session) = session(&args.id, context).await?;
    let mut cursor = None;
    loop {
        // Whoever ended is looked at before its last lines: none comes later.
        let is_over = !calls::is_open(&session);
        let key = (session.api.as_str(), session.id.as_str());
        let (lines, next) = ledger.transcript(key, cursor.as_deref(), None).await?;
        for said in utterances(&lines) {
            if context.out.json {
                context.out.line(&utterance_document(&said))?;
            } else {
                context.out.result(&(), || line(&said))?;
            }
        }
        cursor = next;
        if is_over {
            let reason = or_dash(session.reason.as_deref());
            if !context.out.json {
                context.out.note(&format!("The call has ended: {reason}"));
            }
            return Ok(Exit::Success);
        }
        sleep(LOOK_EVERY).await;
        session = self::session(&args.id, context).await?.1;
    }
}

fn fact<'a>(session: &'a SessionRecord, name: &str) -> Option<&'a str> {
    session.facts.get(name)?.as_str()
}

/// Seconds since the first attachment, until now or the end.
fn length(session: &SessionRecord) -> Option<i64> {
    let end = session.ended_at.unwrap_or_else(|| Timestamp::now().0);
    Some((end - session.active_at?).max(0) / 1000)
}

fn line(said: &Utterance) -> String {
    let time = said.at.text();
    format!("{}  {:10}  {}", time.get(11..).unwrap_or(&time), said.role, said.text)
}

fn text(session: &SessionRecord, said: &[Utterance], tools: &[ToolCall], asked: &[Control]) -> String {
    let at = |millis: Option<i64>| {
        let at = millis.map(Timestamp);
        at.map_or_else(|| "-".to_owned(), |at| format!("{} UTC, {}", at.text(), at.ago()))
    };
    let number = |name: &str| session.usage.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut rows = vec![
        ("call", session.id.clone()),
        ("api", session.api.clone()),
        ("state", session.state.as_str().to_owned()),
        ("from", or_dash(fact(session, "from"))),
        ("to", or_dash(fact(session, "to"))),
        ("rule", or_dash(fact(session, "rule_name").or_else(|| fact(session, "rule")))),
        ("came", at(Some(session.opened_at))),
        ("begun", at(session.active_at)),
        ("ended", at(session.ended_at)),
        ("ended by", or_dash(session.reason.as_deref())),
        ("usage", format!("{}, {}", duration_of(number("seconds")), counted(number("total_tokens"), "token"))),
        ("supervisor", format!("generation {}", session.generation)),
    ];
    rows.retain(|(name, value)| !(value == "-" && ["ended", "ended by", "rule"].contains(name)));
    let mut text = key_values(&rows);
    section(&mut text, "Transcript", said.iter().map(line));
    section(
        &mut text,
        "Tools",
        tools.iter().map(|call| {
            let result = match &call.result {
                Some(result) if result.is_success => "done",
                Some(_) => "failed",
                None => "running",
            };
            format!("{}  {}  {result}", Timestamp(call.claimed_at).text(), call.name)
        }),
    );
    section(
        &mut text,
        "Asked",
        asked.iter().map(|asked| {
            let answer = match &asked.answer {
                Some(answer) if answer.confirmed => "confirmed".to_owned(),
                Some(answer) => format!("refused: {}", or_dash(answer.reason.as_deref())),
                None => "not answered".to_owned(),
            };
            format!("{}  {}  by {}  {answer}", Timestamp(asked.asked_at).text(), asked.kind, asked.asked_by)
        }),
    );
    text
}

fn duration_of(seconds: u64) -> String {
    duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn section(text: &mut String, name: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        let _ = write!(text, "\n{name}\n  {}\n", lines.join("\n  "));
    }
}
