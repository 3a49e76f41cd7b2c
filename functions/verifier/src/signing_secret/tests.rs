//! The rules of the signing secrets, one by one.

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
