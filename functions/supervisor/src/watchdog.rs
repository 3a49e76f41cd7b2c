//! The watchdog of a session: a message that comes back until the session has ended. It starts a supervisor when the lease of
//! the last one is over.

use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{SessionRecord, SessionState};
use serde::Deserialize;

use crate::host::{Start, api_of};
use crate::session::Services;

/// Longest time between two looks. The lease of a supervisor is shorter, so the next look usually comes when that ends.
const LONGEST_PAUSE_MS: i64 = 30_000;

/// Time by which a look comes after the end of a lease.
const AFTER_LEASE_MS: i64 = 1_000;

/// Time that a started supervisor has to take its lease.
const STARTED_MS: i64 = 8_000;

/// The message.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WatchMessage {
    pub(crate) api: String,
    pub(crate) id: String,
}

/// What follows a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The session has ended, or there is none.
    Done,
    /// The next look comes after this time.
    Again(Duration),
}

/// What a look decides.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Done,
    Wait(i64),
    /// The next generation is to be started.
    Start(u32),
}

/// Looks at a session, and starts a supervisor if none has it.
pub(crate) async fn look(services: &Services, message: &WatchMessage) -> Result<Look, AwsError> {
    let Some(api) = api_of(&message.api) else { return Ok(Look::Done) };
    let record = services.ledger.session(&message.api, &message.id).await?;
    Ok(match decide(record.as_ref(), now_ms()) {
        Decision::Done => Look::Done,
        Decision::Wait(time) => Look::Again(Duration::from_millis(time.unsigned_abs())),
        Decision::Start(generation) => {
            tracing::warn!(session = message.id, generation, "no supervisor has the session; the next one is started");
            services.starter.start(&Start { api, id: message.id.clone(), generation, accepted: false }).await?;
            Look::Again(Duration::from_millis(STARTED_MS.unsigned_abs()))
        }
    })
}

fn decide(record: Option<&SessionRecord>, now: i64) -> Decision {
    match record {
        None | Some(SessionRecord { state: SessionState::Ended, .. }) => Decision::Done,
        Some(record) if record.lease_until + AFTER_LEASE_MS > now => {
            Decision::Wait((record.lease_until + AFTER_LEASE_MS - now).min(LONGEST_PAUSE_MS))
        }
        Some(record) => Decision::Start(record.generation.saturating_add(1)),
    }
}
