//! OpenAI with the API key of the moment.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hooks_aws::secrets::{PLACEHOLDER, Source, Stage, Store};
use hooks_openai::{ApiKey, Client};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::HandlerError;

/// How long a key is used before it is read again. A rotated key is in use after this, at the latest.
const KEEP: Duration = Duration::from_mins(5);

/// The least time between two reads that something unexpected made necessary: a refused key, one that is not set, a
/// secret that cannot be read. A backlog of failing events must not become as many calls.
const COOLDOWN: Duration = Duration::from_secs(30);

/// How long a failed read is believed while there is no key at all. Whatever waits for it is tried again within seconds.
const UNREADABLE: Duration = Duration::from_secs(5);

/// The way to OpenAI, with the API key of the moment. Cheap to clone.
///
/// The key is read when it is first needed, again after five minutes, and when OpenAI refuses it, so a rotated key is
/// picked up without a deployment. While the secret cannot be read the last key stays in use.
#[derive(Clone)]
pub struct OpenAi(Arc<Kind>);

enum Kind {
    Fixed(Client),
    Keyed(Box<Keyed<Store>>),
}

impl OpenAi {
    /// A client that was made elsewhere, with a key that never changes: for a handler's tests.
    #[must_use]
    pub fn fixed(client: Client) -> Self {
        Self(Arc::new(Kind::Fixed(client)))
    }

    /// The client of this base, with the key in the secret `id`.
    pub(crate) fn keyed(base: Client, source: Store, id: String) -> Self {
        Self(Arc::new(Kind::Keyed(Box::new(Keyed::new(base, source, id)))))
    }

    /// The client to call with now. Ask for it once per event: the key may have been rotated in between.
    ///
    /// # Errors
    ///
    /// [`HandlerError::Retry`] when nobody has set the key yet, or it cannot be read.
    pub async fn client(&self) -> Result<Client, HandlerError> {
        match &*self.0 {
            Kind::Fixed(client) => Ok(client.clone()),
            Kind::Keyed(keyed) => keyed.client().await.map_err(HandlerError::retry),
        }
    }

    /// Which key [`client`](Self::client) would use now, as a number that changes with it.
    pub async fn generation(&self) -> u64 {
        match &*self.0 {
            Kind::Fixed(_) => 0,
            Kind::Keyed(keyed) => keyed.fresh().await.generation,
        }
    }

    /// OpenAI refused the key of this generation. Says whether there is another one by now.
    ///
    /// The harness asks this for every failure that is [`HandlerError::UNAUTHORIZED`]. It is for handlers whose events must
    /// not end in such a failure.
    pub async fn replaced(&self, generation: u64) -> bool {
        match &*self.0 {
            Kind::Fixed(_) => false,
            Kind::Keyed(keyed) => keyed.replaced(generation).await,
        }
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi").finish_non_exhaustive()
    }
}

struct Keyed<S> {
    base: Client,
    source: S,
    id: String,
    state: Mutex<State>,
}

/// What the last read said. The lock is held during a read, so that a batch of events makes one.
struct State {
    /// The secret's text: to see whether it changed.
    text: String,
    /// The client with that key, or why there is none, in words for whoever has to do something about it.
    client: Result<Client, String>,
    /// Until when that is believed; before the first read there is nothing to believe.
    fresh_until: Option<Instant>,
    /// Until when a refused key is no reason for another read.
    quiet_until: Option<Instant>,
    generation: u64,
}

impl<S: Source> Keyed<S> {
    fn new(base: Client, source: S, id: String) -> Self {
        let state = State {
            text: String::new(),
            client: Err(String::new()),
            fresh_until: None,
            quiet_until: None,
            generation: 0,
        };
        Self { base, source, id, state: Mutex::new(state) }
    }

    async fn client(&self) -> Result<Client, String> {
        self.fresh().await.client.clone()
    }

    /// What the last read said, after another one if that is too long ago.
    async fn fresh(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().await;
        if is_past(state.fresh_until) {
            self.read(&mut state).await;
        }
        state
    }

    async fn replaced(&self, generation: u64) -> bool {
        let mut state = self.state.lock().await;
        if state.generation == generation && is_past(state.quiet_until) {
            self.read(&mut state).await;
        }
        state.generation != generation && state.client.is_ok()
    }

    async fn read(&self, state: &mut State) {
        let read = self.source.read(&self.id, Stage::Current).await;
        let now = Instant::now();
        state.quiet_until = Some(now + COOLDOWN);
        state.fresh_until = Some(now + COOLDOWN);
        let text = match read {
            Ok(version) => version.map(|version| version.text).unwrap_or_default(),
            Err(error) => {
                let message = format!("the API key in the secret {} could not be read: {error}", self.id);
                tracing::warn!("{message}");
                // A key that worked so far goes on.
                if state.client.is_err() {
                    state.client = Err(message);
                    state.fresh_until = Some(now + UNREADABLE);
                }
                return;
            }
        };
        if state.text != text || state.generation == 0 {
            state.generation += 1;
            state.client = self.client_with(&text);
            state.text = text;
        }
        if state.client.is_ok() {
            state.fresh_until = Some(now + KEEP);
        }
    }

    fn client_with(&self, text: &str) -> Result<Client, String> {
        match text.trim() {
            PLACEHOLDER | "" => Err(self.not_set("is not set")),
            key => match key.parse::<ApiKey>() {
                Ok(key) => Ok(self.base.with_api_key(key)),
                Err(error) => Err(self.not_set(&format!("is unusable ({error})"))),
            },
        }
    }

    fn not_set(&self, problem: &str) -> String {
        let id = &self.id;
        format!(
            "the OpenAI API key {problem}: store it with `aws secretsmanager put-secret-value --secret-id {id} \
             --secret-string sk-...`; the event is tried again until then"
        )
    }
}

fn is_past(moment: Option<Instant>) -> bool {
    moment.is_none_or(|moment| moment <= Instant::now())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hooks_aws::secrets::{ReadError, Version};
    use tokio::time::advance;

    use super::*;

    /// A secret whose text the test decides; `None` cannot be read.
    #[derive(Clone)]
    struct Fake {
        text: Arc<StdMutex<Option<&'static str>>>,
        reads: Arc<AtomicUsize>,
    }

    impl Source for Fake {
        async fn read(&self, _: &str, _: Stage) -> Result<Option<Version>, ReadError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let text = *self.text.lock().unwrap();
            let text = text.ok_or_else(|| ReadError("no answer".to_owned()))?;
            Ok(Some(Version { id: String::new(), text: text.to_owned(), created_at: 0 }))
        }
    }

    impl Fake {
        fn keyed(text: Option<&'static str>) -> (Self, Keyed<Self>) {
            let fake = Self { text: Arc::new(StdMutex::new(text)), reads: Arc::default() };
            let config = hooks_openai::ClientConfig {
                base_url: "https://api.openai.com/v1".parse().unwrap(),
                api_key: "none".parse().unwrap(),
            };
            (fake.clone(), Keyed::new(Client::new(config).unwrap(), fake, "key".to_owned()))
        }

        fn becomes(&self, text: Option<&'static str>) {
            *self.text.lock().unwrap() = text;
        }

        fn reads(&self) -> usize {
            self.reads.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_read_once_and_again_after_five_minutes() {
        let (fake, keyed) = Fake::keyed(Some("sk-1"));
        for _ in 0..3 {
            keyed.client().await.unwrap();
        }
        assert_eq!(fake.reads(), 1);
        advance(KEEP).await;
        keyed.client().await.unwrap();
        assert_eq!(fake.reads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_nobody_has_set_says_how_to_set_it_and_is_found_once_it_is() {
        let (fake, keyed) = Fake::keyed(Some("unset"));
        let problem = keyed.client().await.unwrap_err();
        assert!(problem.contains("put-secret-value --secret-id key"), "{problem}");
        fake.becomes(Some("sk-1"));
        keyed.client().await.unwrap_err();
        assert_eq!(fake.reads(), 1);
        advance(COOLDOWN).await;
        keyed.client().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_with_a_slip_in_it_is_not_shown() {
        let (_, keyed) = Fake::keyed(Some("sk-very secret"));
        let problem = keyed.client().await.unwrap_err();
        assert!(problem.contains("unusable") && !problem.contains("very"), "{problem}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_read_again_once_per_cooldown() {
        let (fake, keyed) = Fake::keyed(Some("sk-1"));
        keyed.client().await.unwrap();
        let generation = keyed.fresh().await.generation;
        fake.becomes(Some("sk-2"));
        assert!(!keyed.replaced(generation).await, "it was read a moment ago");
        advance(COOLDOWN).await;
        assert!(keyed.replaced(generation).await);
        assert!(keyed.replaced(generation).await, "whoever else used the old key hears of the new one without a read");
        assert_eq!(fake.reads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_that_is_still_the_same_is_not_replaced() {
        let (fake, keyed) = Fake::keyed(Some("sk-1"));
        keyed.client().await.unwrap();
        advance(COOLDOWN).await;
        let generation = keyed.state.lock().await.generation;
        assert!(!keyed.replaced(generation).await);
        assert_eq!(fake.reads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_key_stays_in_use_while_the_secret_cannot_be_read() {
        let (fake, keyed) = Fake::keyed(Some("sk-1"));
        keyed.client().await.unwrap();
        fake.becomes(None);
        advance(KEEP).await;
        keyed.client().await.unwrap();
        keyed.client().await.unwrap();
        assert_eq!(fake.reads(), 2);
        advance(COOLDOWN).await;
        keyed.client().await.unwrap();
        assert_eq!(fake.reads(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_key_an_unreadable_secret_is_a_reason_to_retry_and_is_read_again_soon() {
        let (fake, keyed) = Fake::keyed(None);
        assert!(keyed.client().await.unwrap_err().contains("could not be read"));
        fake.becomes(Some("sk-1"));
        keyed.client().await.unwrap_err();
        assert_eq!(fake.reads(), 1);
        advance(UNREADABLE).await;
        keyed.client().await.unwrap();
    }
}
