//! One session, from attaching to its end. It knows nothing of Lambda.

mod controls;
mod ends;
mod events;
mod live;
mod speech;
mod tool_calls;

use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::alerts::Alerts;
use hooks_aws::artifacts::Artifacts;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{HoldResult, Ledger, SessionHold, SessionRecord, SessionState, TakeResult};
use hooks_aws::outcomes::Outcomes;
use hooks_function::OpenAi;
use hooks_openai::{AttachError, CallApi, Client, Sideband};
use serde_json::Map;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::host::{Start, Starter};
use crate::records;
use crate::settings;
use crate::tools::Tools;
use live::Live;

/// Length of a lease. It is renewed every three seconds, and the watchdog comes when it is over.
pub(crate) const LEASE_MS: i64 = 10_000;

/// Time for which a session that was just accepted may not be visible yet.
const NOT_YET_VISIBLE: Duration = Duration::from_secs(3);

/// Time after a session was recorded in which its call may be accepted yet, in milliseconds.
const MAY_BE_ACCEPTED_MS: i64 = 60_000;

/// Time after a session was recorded in which its first supervisor has missed nothing: the caller waits for the greeting.
const AT_ONCE_MS: i64 = 2_000;

/// Looks at whether a predecessor goes on until its successor is attached, and the pause between them.
const KEPT_LOOKS: u32 = 6;
const KEPT_PAUSE: Duration = Duration::from_millis(250);

/// Pause between attempts to attach.
const ATTACH_PAUSE: Duration = Duration::from_millis(100);

/// Time for which attaching is tried.
const ATTACH_TIME: Duration = Duration::from_secs(8);

/// What a supervisor works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) ledger: Ledger,
    pub(crate) alerts: Alerts,
    pub(crate) outcomes: Outcomes,
    pub(crate) artifacts: Artifacts,
    pub(crate) openai: OpenAi,
    pub(crate) tools: Tools,
    pub(crate) starter: Starter,
}

/// Times at which a supervisor leaves its session to a successor.
#[derive(Clone)]
pub(crate) struct Shift {
    /// When the successor is started; never, when there is none.
    pub(crate) hand_over_at: Option<Instant>,
    /// When the session is left, with or without a successor.
    pub(crate) leave_at: Option<Instant>,
    /// Becomes true when the process shall end.
    pub(crate) stop: watch::Receiver<bool>,
}

/// How a supervisor left its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The session has ended for this reason, and everything is written.
    Ended(String),
    /// A later generation has it.
    HandedOver,
    /// Nobody has it: the watchdog starts the next generation.
    Left,
    /// There was nothing to supervise.
    Nothing,
}

/// Supervises a session until it ends or a successor has it.
pub(crate) async fn supervise(services: &Services, start: &Start, shift: Shift) -> Result<Leave, AwsError> {
    let client = match services.openai.client().await {
        Ok(client) => client,
        Err(error) => {
            tracing::error!("{error}; the session is not supervised until then");
            return Ok(Leave::Nothing);
        }
    };
    // Attaching comes first for a successor: the predecessor goes on until it is there.
    let mut attached = None;
    // Whether the predecessor was there until we were.
    let mut seamless = false;
    if start.generation > 1 {
        match client.attach(start.api, &start.id, Instant::now() + ATTACH_TIME).await {
            Ok(sideband) => {
                attached = Some(Ok(sideband));
                seamless = is_kept(services, start).await;
            }
            // It takes one connection alone, or is gone: decided once the session is ours.
            Err(error) => tracing::info!("attaching before taking the session: {error}"),
        }
    }
    let take = take(services, start);
    let (taken, attached, attached_at) = if let Some(attached) = attached {
        (take.await?, attached, now_ms())
    } else {
        let patience = if start.generation == 1 { NOT_YET_VISIBLE } else { Duration::ZERO };
        let attach = async { (attach(&client, start, patience).await, now_ms()) };
        let (taken, (attached, at)) = tokio::join!(take, attach);
        (taken?, attached, at)
    };
    let Some((hold, record)) = taken else {
        if let Ok(sideband) = attached {
            sideband.detach().await;
        }
        return Ok(Leave::Nothing);
    };
    let settings = settings::read(&record.settings);
    if record.state == SessionState::Ending {
        let reason = record.reason.clone().unwrap_or_default();
        return end(services, &client, &hold, &record, &reason).await;
    }
    let sideband = match attached {
        Ok(sideband) => sideband,
        // It may be accepted any moment: the realtime function tries for as long as a caller waits.
        Err(AttachError::NoSession(error))
            if record.active_at.is_none() && !start.accepted && now_ms() - record.opened_at < MAY_BE_ACCEPTED_MS =>
        {
            tracing::info!("{error}; it may be accepted yet");
            leave(services, &hold).await;
            return Ok(Leave::Left);
        }
        Err(AttachError::NoSession(error)) => {
            tracing::warn!("{error}");
            let reason = match record.active_at {
                None if start.accepted => "dead",
                None => "not_connected",
                Some(_) => "ended_unseen",
            };
            return end(services, &client, &hold, &record, reason).await;
        }
        Err(error) => {
            tracing::error!("{error}; the watchdog starts the next supervisor");
            leave(services, &hold).await;
            return Ok(Leave::Left);
        }
    };
    let gap = match record.active_at {
        None if attached_at - record.opened_at > AT_ONCE_MS => Some("until the first supervisor came"),
        Some(_) if !seamless => Some("until a new supervisor came"),
        _ => None,
    };
    let live = Live::new(services, &client, start, settings, hold, *record, sideband, shift);
    Box::pin(live.run(gap)).await
}

/// Whether a predecessor that hands over is still there: it keeps the session anew, twice a second.
async fn is_kept(services: &Services, start: &Start) -> bool {
    let mut first = None;
    for _ in 0..KEPT_LOOKS {
        let Ok(Some(record)) = services.ledger.session(start.api.as_str(), &start.id).await else { return false };
        if record.progress.get("handing_over").and_then(serde_json::Value::as_bool) != Some(true) {
            return false;
        }
        if record.lease_until > *first.get_or_insert(record.lease_until) {
            return true;
        }
        sleep(KEPT_PAUSE).await;
    }
    false
}

async fn take(services: &Services, start: &Start) -> Result<Option<(SessionHold, Box<SessionRecord>)>, AwsError> {
    let until = now_ms() + LEASE_MS;
    let taken = services.ledger.take_session(start.api.as_str(), &start.id, start.generation, until).await?;
    Ok(match taken {
        TakeResult::Taken(hold, record) => Some((hold, record)),
        TakeResult::Superseded | TakeResult::Ended | TakeResult::Absent => {
            tracing::info!(
                generation = start.generation,
                "the session needs no supervisor of this generation: {taken:?}"
            );
            None
        }
    })
}

/// Attaches to a session. One that is not there is tried again for as long as `patience`; one that another connection holds
/// until that one has left.
async fn attach(client: &Client, start: &Start, patience: Duration) -> Result<Sideband, AttachError> {
    let began = Instant::now();
    loop {
        let error = match client.attach(start.api, &start.id, began + ATTACH_TIME).await {
            Ok(sideband) => return Ok(sideband),
            Err(error) => error,
        };
        let may_pass = match &error {
            AttachError::NoSession(_) => began.elapsed() < patience,
            AttachError::Occupied(_) | AttachError::Network(_) => began.elapsed() < ATTACH_TIME,
            _ => false,
        };
        if !may_pass {
            return Err(error);
        }
        sleep(ATTACH_PAUSE).await;
    }
}

/// Writes everything about a session that has ended.
async fn end(
    services: &Services,
    client: &Client,
    hold: &SessionHold,
    record: &SessionRecord,
    reason: &str,
) -> Result<Leave, AwsError> {
    if record.state != SessionState::Ending
        && services.ledger.session_ending(hold, reason, &record.usage).await? == HoldResult::Superseded
    {
        return Ok(Leave::HandedOver);
    }
    records::write(services, client, hold).await?;
    Ok(Leave::Ended(reason.to_owned()))
}

async fn leave(services: &Services, hold: &SessionHold) {
    if let Err(error) = services.ledger.leave_session(hold).await {
        tracing::warn!("{error}; the lease ends by itself");
    }
}

/// The name of the API, which is a part of the keys in the ledger.
pub(crate) fn key(api: CallApi, id: &str) -> (&'static str, &str) {
    (api.as_str(), id)
}

type Json = Map<String, serde_json::Value>;
