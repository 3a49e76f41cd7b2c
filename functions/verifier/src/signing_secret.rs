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
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;

    const OLD: &str = "whsec_b2xkb2xkb2xkb2xkb2xkb2xk";
    const NEW: &str = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3";
    const NEXT: &str = "whsec_bmV4dG5leHRuZXh0bmV4dG5l";

    /// Now, in seconds since the epoch.
    const NOW: u64 = 1_750_861_210;

    #[derive(Clone, Default)]
    struct Fake {
        versions: Arc<Mutex<HashMap<Stage, Version>>>,
        reads: Arc<Mutex<Vec<Stage>>>,
        is_down: Arc<Mutex<bool>>,
    }

    impl Fake {
        fn put(&self, stage: Stage, text: &str, created_at: u64) {
            let version = Version { id: text.to_owned(), text: text.to_owned(), created_at };
            self.versions.lock().unwrap().insert(stage, version);
        }

        /// The stages that were read since this was asked last.
        fn reads(&self) -> Vec<Stage> {
            std::mem::take(&mut *self.reads.lock().unwrap())
        }
    }

    impl Source for Fake {
        async fn read(&self, id: &str, stage: Stage) -> Result<Option<Version>, ReadError> {
            assert_eq!(id, "arn:secret");
            self.reads.lock().unwrap().push(stage);
            // A real read lets others run meanwhile.
            tokio::task::yield_now().await;
            if *self.is_down.lock().unwrap() {
                return Err(ReadError("out of order".to_owned()));
            }
            Ok(self.versions.lock().unwrap().get(&stage).cloned())
        }
    }

    fn secret(fake: &Fake) -> SigningSecret<Fake> {
        SigningSecret::new(fake.clone(), "arn:secret".into(), "project".into(), Scheme::StandardWebhooks)
    }

    /// A store with one current secret, and what a function has after init.
    async fn started(text: &str) -> (Fake, SigningSecret<Fake>) {
        let fake = Fake::default();
        fake.put(Stage::Current, text, NOW - 100);
        let secret = secret(&fake);
        secret.load(NOW).await;
        (fake, secret)
    }

    fn count(live: &Live, now: u64) -> usize {
        live.at(now).len()
    }

    #[tokio::test]
    async fn init_reads_the_current_secret_alone() {
        let (fake, secret) = started(NEW).await;
        assert_eq!(fake.reads(), [Stage::Current]);
        assert_eq!(count(&secret.live(), NOW), 1);
    }

    #[tokio::test]
    async fn what_was_read_is_used_for_five_minutes() {
        let (fake, secret) = started(NEW).await;
        fake.reads();
        secret.refresh(NOW + MAX_AGE - 1).await;
        assert_eq!(fake.reads(), []);
        secret.refresh(NOW + MAX_AGE).await;
        assert_eq!(fake.reads()[0], Stage::Current);
        assert!(!secret.is_due(NOW + 2 * MAX_AGE - 1));
    }

    #[tokio::test]
    async fn a_refresh_reads_the_pending_and_the_previous_secret_as_well() {
        let (fake, secret) = started(NEW).await;
        fake.put(Stage::Pending, NEXT, NOW);
        fake.put(Stage::Previous, OLD, NOW - 9_000);
        secret.refresh(NOW + MAX_AGE).await;
        assert_eq!(count(&secret.live(), NOW + MAX_AGE), 3);
    }

    #[tokio::test]
    async fn a_pending_secret_that_is_the_current_one_counts_once() {
        let (fake, secret) = started(NEW).await;
        fake.put(Stage::Pending, NEW, NOW);
        secret.refresh(NOW + MAX_AGE).await;
        assert_eq!(count(&secret.live(), NOW + MAX_AGE), 1);
    }

    #[tokio::test]
    async fn the_previous_secret_ends_a_day_after_the_current_one_was_made() {
        let (fake, secret) = started(NEW).await;
        fake.put(Stage::Previous, OLD, NOW - 9_000);
        let made = NOW - 100;
        let last_moment = made + PREVIOUS_LIFETIME - 1;
        secret.refresh(last_moment).await;
        let live = secret.live();
        assert_eq!(count(&live, last_moment), 2);
        assert_eq!(count(&live, last_moment + 1), 1, "it ends in memory too, without a read");
        fake.reads();
        secret.refresh(last_moment + MAX_AGE).await;
        assert_eq!(fake.reads(), [Stage::Current, Stage::Pending], "and is not even read any more");
    }

    #[tokio::test]
    async fn a_signature_without_a_match_brings_a_secret_that_was_set_meanwhile() {
        let (fake, secret) = started(OLD).await;
        let seen = secret.live();
        fake.put(Stage::Current, NEW, NOW + 1);
        fake.put(Stage::Previous, OLD, NOW - 100);
        let newer = secret.after_mismatch(&seen, NOW + 2).await.unwrap();
        assert_eq!(count(&newer, NOW + 2), 2);
    }

    #[tokio::test]
    async fn signatures_without_a_match_cause_one_read_per_cooldown() {
        let (fake, secret) = started(NEW).await;
        fake.reads();
        for second in 0..2 * MISMATCH_COOLDOWN {
            let seen = secret.live();
            secret.after_mismatch(&seen, NOW + second).await;
        }
        let current = fake.reads().into_iter().filter(|stage| *stage == Stage::Current).count();
        assert_eq!(current, 2);
    }

    #[tokio::test]
    async fn requests_at_the_same_time_share_one_read_and_all_see_it() {
        let (fake, secret) = started(OLD).await;
        fake.put(Stage::Current, NEW, NOW + 1);
        fake.reads();
        let seen = secret.live();
        let (a, b, c) = tokio::join!(
            secret.after_mismatch(&seen, NOW + 2),
            secret.after_mismatch(&seen, NOW + 2),
            secret.after_mismatch(&seen, NOW + 2),
        );
        assert!(a.is_some() && b.is_some() && c.is_some());
        assert_eq!(fake.reads().into_iter().filter(|stage| *stage == Stage::Current).count(), 1);
    }

    #[tokio::test]
    async fn a_refresh_that_is_under_way_spares_the_read_after_a_mismatch() {
        let (fake, secret) = started(OLD).await;
        fake.put(Stage::Current, NEW, NOW + 1);
        fake.reads();
        let seen = secret.live();
        let (now, refreshed) = (NOW + MAX_AGE, secret.refresh(NOW + MAX_AGE));
        let ((), newer) = tokio::join!(refreshed, secret.after_mismatch(&seen, now));
        assert!(newer.is_some());
        assert_eq!(fake.reads().into_iter().filter(|stage| *stage == Stage::Current).count(), 1);
    }

    #[tokio::test]
    async fn stale_secrets_are_read_by_one_request_while_others_go_on() {
        let (fake, secret) = started(NEW).await;
        fake.reads();
        tokio::join!(secret.refresh(NOW + MAX_AGE), secret.refresh(NOW + MAX_AGE), secret.refresh(NOW + MAX_AGE));
        assert_eq!(fake.reads().into_iter().filter(|stage| *stage == Stage::Current).count(), 1);
    }

    #[tokio::test]
    async fn when_reading_fails_the_known_secrets_go_on_and_the_store_is_left_alone_for_a_while() {
        let (fake, secret) = started(NEW).await;
        *fake.is_down.lock().unwrap() = true;
        secret.refresh(NOW + MAX_AGE).await;
        assert_eq!(count(&secret.live(), NOW + MAX_AGE), 1);
        fake.reads();
        secret.refresh(NOW + MAX_AGE + RETRY_PAUSE - 1).await;
        assert_eq!(fake.reads(), []);
        assert!(secret.is_due(NOW + MAX_AGE + RETRY_PAUSE));
    }

    #[tokio::test]
    async fn a_failed_read_after_a_mismatch_changes_nothing() {
        let (fake, secret) = started(NEW).await;
        *fake.is_down.lock().unwrap() = true;
        let seen = secret.live();
        assert!(secret.after_mismatch(&seen, NOW).await.is_none());
        assert!(Arc::ptr_eq(&secret.live(), &seen));
    }

    #[tokio::test]
    async fn a_secret_made_unusable_does_not_replace_a_usable_one() {
        let (fake, secret) = started(NEW).await;
        fake.put(Stage::Current, "pasted wrongly", NOW);
        secret.refresh(NOW + MAX_AGE).await;
        assert_eq!(count(&secret.live(), NOW + MAX_AGE), 1);
    }

    #[tokio::test]
    async fn a_secret_that_was_never_set_is_looked_for_soon_again() {
        let (fake, secret) = started(PLACEHOLDER).await;
        assert_eq!(count(&secret.live(), NOW), 0);
        fake.reads();
        secret.refresh(NOW + UNUSABLE_PAUSE - 1).await;
        assert_eq!(fake.reads(), []);
        fake.put(Stage::Current, NEW, NOW);
        fake.put(Stage::Previous, PLACEHOLDER, NOW - 100);
        secret.refresh(NOW + UNUSABLE_PAUSE).await;
        assert_eq!(count(&secret.live(), NOW + UNUSABLE_PAUSE), 1);
    }

    #[tokio::test]
    async fn without_any_secret_init_ends_and_later_reads_find_it() {
        let fake = Fake::default();
        let secret = secret(&fake);
        secret.load(NOW).await;
        assert_eq!(count(&secret.live(), NOW), 0);
        fake.put(Stage::Current, NEW, NOW);
        secret.refresh(NOW + UNUSABLE_PAUSE).await;
        assert_eq!(count(&secret.live(), NOW + UNUSABLE_PAUSE), 1);
    }

    #[tokio::test]
    async fn requests_that_find_no_secret_at_all_wait_for_the_one_that_reads_it() {
        let fake = Fake::default();
        fake.put(Stage::Current, NEW, NOW);
        let secret = secret(&fake);
        let found = async {
            secret.refresh(NOW).await;
            count(&secret.live(), NOW)
        };
        let found_too = async {
            secret.refresh(NOW).await;
            count(&secret.live(), NOW)
        };
        assert_eq!(tokio::join!(found, found_too), (1, 1));
        assert_eq!(fake.reads().into_iter().filter(|stage| *stage == Stage::Current).count(), 1);
    }

    #[test]
    fn debug_shows_no_secret() {
        let version = Version { id: "1".into(), text: NEW.into(), created_at: NOW };
        assert!(!format!("{version:?}").contains("whsec"));
    }
}
