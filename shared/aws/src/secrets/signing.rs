//! The live signing secrets of one endpoint, kept in memory.
//!
//! # Rules
//!
//! | rule | number | why |
//! |---|---|---|
//! | live are `AWSCURRENT`, `AWSPENDING` while it exists, `AWSPREVIOUS` for a day after `AWSCURRENT` was made | [`PREVIOUS_LIFETIME`] | OpenAI signs with an old secret for 24 hours at most; a leaked one must not live on |
//! | what was read is used for five minutes, then read again | [`MAX_AGE`] | a rotation takes effect without a deployment |
//! | a signature that matches none is reason to read again, once per cooldown | [`MISMATCH_COOLDOWN`] | a new secret works at once, and forged deliveries cannot run up the bill |
//! | a failed read leaves what was read before in use, and is not repeated at once | [`RETRY_PAUSE`] | an outage of Secrets Manager is none of ours |
//! | without any usable secret, reading is tried again soon | [`UNUSABLE_PAUSE`] | whoever sets the secret for the first time sees it work |
//!
//! A value's age counts from when it was stored, not from when it was put into use. That is when OpenAI made it, and from
//! then on OpenAI signs with it and keeps the one before for a day, however long a rotation takes to its end. A rotation
//! may leave `AWSPENDING` on the version in use, which is then read once more for nothing.
//!
//! At init `AWSCURRENT` alone is read, which nearly every delivery is signed with. The others are read when a
//! signature does not match, or with the next refresh; a cold start pays for one call instead of three.
//!
//! Lambda freezes a process as soon as it has answered, so there is no background in which a task could go on. A
//! refresh runs beside the request that found the secrets stale, while that request waits for SQS anyway, and is
//! awaited before the answer: it ends, one way or the other, within the reader's timeout.

use super::PLACEHOLDER;
use super::store::{ReadError, Source, Stage, Store, Version};
use hooks_webhook::{Scheme, Secret};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Seconds for which secrets are used before they are read again.
pub(super) const MAX_AGE: u64 = 5 * 60;

/// Seconds between two reads that a signature without a match can cause.
pub(super) const MISMATCH_COOLDOWN: u64 = 30;

/// Seconds after a failed read before stale secrets are read again.
pub(super) const RETRY_PAUSE: u64 = 30;

/// Seconds between reads while there is no usable secret at all.
pub(super) const UNUSABLE_PAUSE: u64 = 5;

/// Seconds for which `AWSPREVIOUS` is accepted after `AWSCURRENT` was made.
pub const PREVIOUS_LIFETIME: u64 = 24 * 60 * 60;

/// The signing secrets of one endpoint. Times are seconds since the epoch, and always the caller's.
pub struct SigningSecret<S = Store> {
    source: S,
    /// The secret's name or ARN.
    id: String,
    /// Whose secret it is, for the log.
    endpoint: String,
    scheme: Scheme,
    state: Mutex<State>,
    /// Held while reading, so that however many requests want the same read, one is made.
    reading: tokio::sync::Mutex<()>,
}

struct State {
    live: Arc<Live>,
    /// When the secrets become stale, or when the next attempt to read them is due.
    read_again_at: u64,
    /// When a signature without a match may cause a read again.
    mismatch_read_at: u64,
}

/// Secrets as they were read.
#[derive(Debug, Default)]
pub struct Live {
    /// `AWSCURRENT`, `AWSPENDING`; `AWSPREVIOUS` comes last.
    secrets: Vec<Secret>,
    /// Until when the last one is good, if that is the previous one.
    previous_until: Option<u64>,
}

impl Live {
    /// The secrets that are accepted at `now`.
    #[must_use]
    pub fn at(&self, now: u64) -> &[Secret] {
        match (self.previous_until, self.secrets.as_slice()) {
            (Some(until), [others @ .., _previous]) if until <= now => others,
            (_, all) => all,
        }
    }
}

/// How much to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Current,
    All,
}

impl<S: Source + Sync> SigningSecret<S> {
    /// The secret `id` of `endpoint`; nothing is read yet.
    pub fn new(source: S, id: String, endpoint: String, scheme: Scheme) -> Self {
        let state = State { live: Arc::default(), read_again_at: 0, mismatch_read_at: 0 };
        Self { source, id, endpoint, scheme, state: Mutex::new(state), reading: tokio::sync::Mutex::default() }
    }

    /// The scheme that the endpoint's deliveries are signed by.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The secrets as they were last read: none, when none could be read yet or what was read is unusable.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.state().live)
    }

    /// Reads the current secret, at init.
    pub async fn load(&self, now: u64) {
        let _reading = self.reading.lock().await;
        self.read(Extent::Current, now).await;
    }

    /// Whether [`refresh`](Self::refresh) would read.
    pub fn is_due(&self, now: u64) -> bool {
        self.state().read_again_at <= now
    }

    /// Reads all live secrets again if that is due. While somebody else is at it the known ones go on; only where there
    /// are none yet, this waits for the other's result.
    pub async fn refresh(&self, now: u64) {
        let has_none = self.live().secrets.is_empty();
        let reading = if has_none { Some(self.reading.lock().await) } else { self.reading.try_lock().ok() };
        if reading.is_some() && self.is_due(now) {
            self.read(Extent::All, now).await;
        }
    }

    /// The secrets after a signature matched none of `seen`, if there are others by now: read by somebody else
    /// meanwhile, or read here, unless the last read for this reason was too recent.
    pub async fn after_mismatch(&self, seen: &Arc<Live>, now: u64) -> Option<Arc<Live>> {
        // Whoever holds the lock may be reading just what is wanted here.
        let _reading = self.reading.lock().await;
        if Arc::ptr_eq(&self.live(), seen) && self.state().mismatch_read_at <= now {
            self.state().mismatch_read_at = now + MISMATCH_COOLDOWN;
            self.read(Extent::All, now).await;
        }
        Some(self.live()).filter(|live| !Arc::ptr_eq(live, seen))
    }

    async fn read(&self, extent: Extent, now: u64) {
        // Before anything is awaited: a read whose request is dropped half way counts as one that failed.
        let known = !self.live().secrets.is_empty();
        self.state().read_again_at = now + if known { RETRY_PAUSE } else { UNUSABLE_PAUSE };
        match self.read_stages(extent, now).await {
            Ok(live) if !live.secrets.is_empty() => {
                let mut state = self.state();
                state.live = Arc::new(live);
                state.read_again_at = now + MAX_AGE;
            }
            Ok(_) => {}
            Err(error) => {
                let (endpoint, id) = (self.endpoint.as_str(), self.id.as_str());
                tracing::error!(endpoint, secret.id = id, %error, "cannot read the signing secret");
            }
        }
    }

    async fn read_stages(&self, extent: Extent, now: u64) -> Result<Live, ReadError> {
        if extent == Extent::Current {
            let current = self.current().await?;
            return Ok(Live { secrets: self.parse(Stage::Current, &current).into_iter().collect(), ..Live::default() });
        }
        let (current, pending) = tokio::join!(self.current(), self.source.read(&self.id, Stage::Pending));
        let (current, pending) = (current?, pending?);
        let mut live = Live::default();
        live.secrets.extend(self.parse(Stage::Current, &current));
        if let Some(pending) = pending.filter(|pending| pending.id != current.id) {
            live.secrets.extend(self.parse(Stage::Pending, &pending));
        }
        let previous_until = current.created_at + PREVIOUS_LIFETIME;
        if now < previous_until
            && let Some(previous) = self.source.read(&self.id, Stage::Previous).await?
            && let Some(secret) = self.parse(Stage::Previous, &previous)
        {
            live.secrets.push(secret);
            live.previous_until = Some(previous_until);
        }
        Ok(live)
    }

    async fn current(&self) -> Result<Version, ReadError> {
        let current = self.source.read(&self.id, Stage::Current).await?;
        current.ok_or_else(|| ReadError("there is no such secret".to_owned()))
    }

    /// The usable secret in a version. Anything else is a fault of the configuration, which the log explains.
    fn parse(&self, stage: Stage, version: &Version) -> Option<Secret> {
        let (endpoint, id) = (self.endpoint.as_str(), self.id.as_str());
        if version.text.trim() == PLACEHOLDER {
            // The placeholder is what every secret was before it was set, so as an older value it is no fault.
            if stage == Stage::Current {
                tracing::error!(
                    endpoint,
                    secret.id = id,
                    "the signing secret was never set, so deliveries are answered 503 and repeated by OpenAI; set it: \
                     aws secretsmanager put-secret-value --secret-id {id} --secret-string 'whsec_...'"
                );
            }
            return None;
        }
        match Secret::parse_for(self.scheme, &version.text) {
            Ok(secret) => Some(secret),
            Err(error) => {
                let stage = stage.as_str();
                tracing::error!(endpoint, secret.id = id, secret.stage = stage, %error, "the signing secret is unusable");
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
