//! Live signing secrets of one endpoint, cached in memory.
//!
//! # Rules
//!
//! | rule | number | why |
//! |---|---|---|
//! | live secrets: `AWSCURRENT`, `AWSPENDING` while it exists, `AWSPREVIOUS` for a day after the creation of `AWSCURRENT` | [`PREVIOUS_LIFETIME`] | OpenAI signs with an old secret for 24 hours at most; a leaked one must not live on |
//! | secrets are used for five minutes, then read again | [`MAX_AGE`] | a rotation takes effect without a deployment |
//! | a signature that matches none causes another read, once per cooldown | [`MISMATCH_COOLDOWN`] | a new secret works at once, and forged deliveries cannot run up the bill |
//! | a failed read leaves the last secrets in use, and is not repeated at once | [`RETRY_PAUSE`] | an outage of Secrets Manager is not an outage of the verifier |
//! | without any usable secret, the next read follows soon | [`UNUSABLE_PAUSE`] | a secret that is set for the first time works within seconds |
//!
//! A value's age counts from its creation, not from its promotion: OpenAI signs with a new secret from its creation on and
//! accepts the old one for a day, regardless of the rotation's duration. A rotation may leave `AWSPENDING` on the current
//! version, which is then read twice.
//!
//! Init reads only `AWSCURRENT`, which signs nearly every delivery. The other stages are read after a mismatch or with the
//! next refresh, so a cold start makes one call instead of three.
//!
//! Lambda freezes the process after the response, so there are no background tasks. A refresh runs concurrently with the
//! request that found the secrets stale, while that request waits for SQS, and is awaited before the response. The
//! store's timeout limits it.

use hooks_aws::secrets::{PLACEHOLDER, PREVIOUS_LIFETIME, ReadError, Source, Stage, Store, Version};
use hooks_function::{Cached, Refresh, Rules};
use hooks_webhook::{Scheme, Secret};
use std::sync::Arc;
use std::time::Duration;

/// Seconds for which secrets are used before they are read again.
const MAX_AGE: u64 = 5 * 60;

/// Seconds between two reads caused by mismatches.
const MISMATCH_COOLDOWN: u64 = 30;

/// Seconds after a failed read before stale secrets are read again.
const RETRY_PAUSE: u64 = 30;

/// Seconds between reads while no secret is usable.
const UNUSABLE_PAUSE: u64 = 5;

/// Signing secrets of one endpoint. The caller passes the time, in seconds since the epoch.
pub(crate) struct SigningSecret<S = Store> {
    source: S,
    /// The secret's name or ARN.
    id: String,
    /// The endpoint's name, for the log.
    endpoint: String,
    scheme: Scheme,
    live: Cached<Live, ReadError, Duration>,
}

/// Secrets of one read.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// `AWSCURRENT`, `AWSPENDING`; `AWSPREVIOUS` comes last.
    secrets: Vec<Secret>,
    /// Expiry of the last secret, if that is the previous one.
    previous_until: Option<u64>,
}

impl Live {
    /// Secrets accepted at `now`.
    pub(crate) fn at(&self, now: u64) -> &[Secret] {
        match (self.previous_until, self.secrets.as_slice()) {
            (Some(until), [others @ .., _previous]) if until <= now => others,
            (_, all) => all,
        }
    }
}

/// Stages to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Current,
    All,
}

impl<S: Source + Sync> SigningSecret<S> {
    /// The secret `id` of `endpoint`; nothing is read yet.
    pub(crate) fn new(source: S, id: String, endpoint: String, scheme: Scheme) -> Self {
        let rules = Rules {
            retry: Duration::from_secs(RETRY_PAUSE),
            retry_without_value: Duration::from_secs(UNUSABLE_PAUSE),
            cooldown: Duration::from_secs(MISMATCH_COOLDOWN),
            cooldown_after_any_read: false,
        };
        Self { source, id, endpoint, scheme, live: Cached::new(rules) }
    }

    /// Signature scheme of the endpoint.
    pub(crate) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The secrets of the last read: none, while no usable one could be read.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.last().value.unwrap_or_default()
    }

    /// Reads the current secret, at init.
    pub(crate) async fn load(&self, now: u64) {
        self.live.get(Duration::from_secs(now), |_| self.read(Extent::Current, now)).await;
    }

    /// Whether [`refresh`](Self::refresh) would read.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.live.is_due(Duration::from_secs(now))
    }

    /// Reads all live secrets again if that is due. During another request's read the known ones stay in use; only
    /// where there are none yet, this waits for that read.
    pub(crate) async fn refresh(&self, now: u64) {
        self.live.get(Duration::from_secs(now), |_| self.read(Extent::All, now)).await;
    }

    /// The secrets after a signature matched none of `seen`, if there are others by now: from another request's read
    /// meanwhile, or from a read here, unless the last one for this reason was too recent.
    pub(crate) async fn after_mismatch(&self, seen: &Arc<Live>, now: u64) -> Option<Arc<Live>> {
        let last = self.live.replace(seen, Duration::from_secs(now), |_| self.read(Extent::All, now)).await;
        last.value.filter(|live| !Arc::ptr_eq(live, seen))
    }

    async fn read(&self, extent: Extent, now: u64) -> Result<Refresh<Live>, ReadError> {
        let live = self.read_stages(extent, now).await.inspect_err(|error| {
            let (endpoint, id) = (self.endpoint.as_str(), self.id.as_str());
            tracing::error!(endpoint, secret.id = id, %error, "cannot read the signing secret");
        })?;
        if live.secrets.is_empty() {
            return Err(ReadError("no version holds a usable secret".to_owned()));
        }
        Ok(Refresh::New(live, Duration::from_secs(MAX_AGE)))
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
        current.ok_or_else(|| ReadError("the secret does not exist".to_owned()))
    }

    /// The usable secret in a version. Anything else is a fault of the configuration, which the log explains.
    fn parse(&self, stage: Stage, version: &Version) -> Option<Secret> {
        let (endpoint, id) = (self.endpoint.as_str(), self.id.as_str());
        if version.text.trim() == PLACEHOLDER {
            // The placeholder is what every secret was before it was set, so it is not a fault as an older value.
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
}

#[cfg(test)]
mod tests;
