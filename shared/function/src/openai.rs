//! OpenAI with the API key in Secrets Manager, or with a token for the function's own identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hooks_aws::identity::{WebIdentity, WebIdentityError};
use hooks_aws::secrets::{PLACEHOLDER, ReadError, Source, Stage, Store};
use hooks_aws::{Config, Environment};
use hooks_openai::{AUDIENCE, ApiKey, ApiKeyError, Client, TokenError, WorkloadIdentity};
use tokio::time::Instant;

use crate::{Cached, Last, Refresh, Rules};

/// Time for which a key is used before it is read again. A rotated key is in use after this, at the latest.
const KEEP: Duration = Duration::from_mins(5);

/// Least time between two reads for an unexpected reason: a refused key, one that is not set, a secret that cannot be
/// read. A backlog of failing events must not become as many calls.
const COOLDOWN: Duration = Duration::from_secs(30);

/// Pause after a failed read while there is no key at all. Whatever waits for it is tried again within seconds.
const UNREADABLE: Duration = Duration::from_secs(5);

/// How long before its end a token is replaced. Whoever has it in hand may go on with it that long.
const BEFORE_END: Duration = Duration::from_mins(2);

/// All of an exchange.
const EXCHANGE: Duration = Duration::from_secs(15);

/// Why there is no client. The text says what to do, and never shows the key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiKeySecretError {
    /// The secret holds no key yet.
    #[error(
        "the OpenAI API key is not set: store it with `aws secretsmanager put-secret-value --secret-id {0} \
         --secret-string sk-...`"
    )]
    Unset(String),
    /// The secret holds something that is not a key.
    #[error(
        "the OpenAI API key is unusable ({1}): store it again with `aws secretsmanager put-secret-value --secret-id {0} \
         --secret-string sk-...`"
    )]
    Unusable(String, ApiKeyError),
    /// The secret could not be read.
    #[error("the OpenAI API key in the secret {0} could not be read: {1}")]
    Unreadable(String, ReadError),
    /// STS gave no token for OpenAI.
    #[error("there is no access to OpenAI: {0}")]
    Identity(WebIdentityError),
    /// OpenAI gave no token for the one of STS.
    #[error("there is no access to OpenAI: {0}{advice}", advice = token_advice(.0))]
    Exchange(TokenError),
}

/// Next step after OpenAI's refusal.
fn token_advice(error: &TokenError) -> &'static str {
    match error {
        TokenError::Refused { code, .. } => match code.as_str() {
            "invalid_grant" => {
                ". Let the service account take tokens of this function's role (outputs ...RoleArn) and this account's \
                 issuer: docs/workload-identity.md"
            }
            "invalid_client" | "invalid_target" | "invalid_request" => {
                ". Compare OpenAIIdentityProviderId and OpenAIServiceAccountId with OpenAI's settings"
            }
            "invalid_scope" => ". Give the service account the permissions that docs/workload-identity.md lists",
            _ => ". See docs/workload-identity.md",
        },
        _ => "",
    }
}

impl ApiKeySecretError {
    /// Whether waiting does not help: somebody has to set something up.
    #[must_use]
    pub const fn is_setup(&self) -> bool {
        match self {
            Self::Unset(_) | Self::Unusable(..) => true,
            Self::Unreadable(..) => false,
            Self::Identity(error) => !matches!(error, WebIdentityError::Unavailable(_)),
            Self::Exchange(error) => matches!(error, TokenError::Refused { .. }),
        }
    }
}

/// What proves to OpenAI who calls, and the client to use it with.
///
/// A function needs `secretsmanager:GetSecretValue` on the secret with the API key; without a key,
/// `sts:GetWebIdentityToken`.
#[derive(Clone, Debug)]
pub struct ApiKeySecret<S = Store> {
    client: Client,
    proof: Proof<S>,
}

#[derive(Clone, Debug)]
enum Proof<S> {
    Secret { source: S, id: String },
    Identity(Box<(WebIdentity, WorkloadIdentity)>),
}

impl ApiKeySecret {
    /// From `OPENAI_BASE_URL`, and `OPENAI_API_KEY_SECRET` with the secret's id or ARN; or, in its place,
    /// `OPENAI_IDENTITY_PROVIDER_ID`, `OPENAI_SERVICE_ACCOUNT_ID` and, to ask for less, `OPENAI_SCOPE`.
    pub fn from_env(environment: &mut Environment, config: Option<&Config>) -> Option<Self> {
        let client = environment.parsed("OPENAI_BASE_URL", Client::without_key);
        Self::with_client(client, environment, config)
    }

    /// The same with a client that exists already.
    pub fn with_client(client: Option<Client>, environment: &mut Environment, config: Option<&Config>) -> Option<Self> {
        if let Some(provider_id) = environment.optional("OPENAI_IDENTITY_PROVIDER_ID") {
            let service_account_id = environment.required("OPENAI_SERVICE_ACCOUNT_ID");
            let scope = environment.optional("OPENAI_SCOPE");
            let of = WorkloadIdentity { provider_id, service_account_id: service_account_id?, scope };
            return Some(Self { client: client?, proof: Proof::Identity(Box::new((WebIdentity::new(config?), of))) });
        }
        let id = environment.required("OPENAI_API_KEY_SECRET");
        Some(Self { client: client?, proof: Proof::Secret { source: Store::new(config?), id: id? } })
    }
}

impl<S: Source> ApiKeySecret<S> {
    /// The key in the secret `id` of this source, for calls of this client.
    #[must_use]
    pub const fn new(client: Client, source: S, id: String) -> Self {
        Self { client, proof: Proof::Secret { source, id } }
    }

    /// The client with the key that is in the secret now.
    ///
    /// # Errors
    ///
    /// There is no usable key.
    pub async fn client(&self) -> Result<Client, ApiKeySecretError> {
        self.client_with(&self.text().await?.0)
    }

    /// A key or a token, and how long to use it before the next look.
    async fn text(&self) -> Result<(String, Duration), ApiKeySecretError> {
        match &self.proof {
            Proof::Secret { source, id } => {
                let version = source.read(id, Stage::Current).await;
                let text = version.and_then(|version| {
                    version.map(|version| version.text).ok_or_else(|| ReadError("there is no such secret".to_owned()))
                });
                text.map(|text| (text, KEEP)).map_err(|error| ApiKeySecretError::Unreadable(id.clone(), error))
            }
            Proof::Identity(identity) => {
                let (sts, of) = &**identity;
                let deadline = Instant::now() + EXCHANGE;
                let proof = sts.token(AUDIENCE, deadline).await.map_err(ApiKeySecretError::Identity)?;
                let token = self.client.exchange_token(of, &proof, deadline).await;
                let token = token.map_err(ApiKeySecretError::Exchange)?;
                // One that is short-lived is used for half of its time.
                let keep = token.lifetime.saturating_sub(BEFORE_END).max(token.lifetime / 2);
                Ok((token.text, keep))
            }
        }
    }

    fn client_with(&self, text: &str) -> Result<Client, ApiKeySecretError> {
        // An editor may have written a byte order mark.
        match text.trim_start_matches('\u{feff}').trim() {
            PLACEHOLDER | "" => Err(ApiKeySecretError::Unset(self.name())),
            key => match key.parse::<ApiKey>() {
                Ok(key) => Ok(self.client.with_api_key(key)),
                Err(error) => Err(ApiKeySecretError::Unusable(self.name(), error)),
            },
        }
    }

    /// The secret's id, or that of the service account.
    fn name(&self) -> String {
        match &self.proof {
            Proof::Secret { id, .. } => id.clone(),
            Proof::Identity(identity) => identity.1.service_account_id.clone(),
        }
    }
}

/// OpenAI with a cached API key, for functions that are invoked often. Cheap to clone.
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
    /// A client with a key that never changes, for a handler's tests.
    #[must_use]
    pub fn fixed(client: Client) -> Self {
        Self(Arc::new(Kind::Fixed(client)))
    }

    /// The client to call with now. Ask for it once per event: the key may have been rotated in between.
    ///
    /// # Errors
    ///
    /// There is no usable key.
    pub async fn client(&self) -> Result<Client, ApiKeySecretError> {
        match &*self.0 {
            Kind::Fixed(client) => Ok(client.clone()),
            Kind::Keyed(keyed) => keyed.client().await,
        }
    }

    /// Number of the key that [`client`](Self::client) would use now. It changes with the key.
    pub async fn generation(&self) -> u64 {
        match &*self.0 {
            Kind::Fixed(_) => 0,
            Kind::Keyed(keyed) => keyed.generation().await,
        }
    }

    /// Whether there is another key by now, after OpenAI refused the key of this generation.
    ///
    /// The harness of the consumers asks this for every event that fails for an unauthorized call. It is for handlers
    /// whose events must not end in such a failure.
    pub async fn replaced(&self, generation: u64) -> bool {
        match &*self.0 {
            Kind::Fixed(_) => false,
            Kind::Keyed(keyed) => keyed.replaced(generation).await,
        }
    }
}

impl From<ApiKeySecret> for OpenAi {
    fn from(secret: ApiKeySecret) -> Self {
        Self(Arc::new(Kind::Keyed(Box::new(Keyed::new(secret)))))
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi").finish_non_exhaustive()
    }
}

struct Keyed<S> {
    secret: ApiKeySecret<S>,
    key: Cached<Key, ApiKeySecretError>,
}

/// A text that was read, and the client that was made of it.
struct Key {
    text: String,
    client: Result<Client, ApiKeySecretError>,
    generation: u64,
}

impl<S: Source> Keyed<S> {
    fn new(secret: ApiKeySecret<S>) -> Self {
        let rules = Rules {
            retry: COOLDOWN,
            retry_without_value: UNREADABLE,
            cooldown: COOLDOWN,
            cooldown_after_any_read: true,
        };
        Self { secret, key: Cached::new(rules) }
    }

    async fn client(&self) -> Result<Client, ApiKeySecretError> {
        match self.key.get(Instant::now(), |last| self.read(last)).await {
            Last { value: Some(key), .. } => key.client.clone(),
            Last { error: Some(error), .. } => Err(error),
            _ => Err(ApiKeySecretError::Unreadable(self.secret.name(), ReadError("the read was cut off".to_owned()))),
        }
    }

    async fn generation(&self) -> u64 {
        self.key.get(Instant::now(), |last| self.read(last)).await.value.map_or(0, |key| key.generation)
    }

    async fn replaced(&self, generation: u64) -> bool {
        let mut key = self.key.last().value;
        if let Some(seen) = key.as_ref().filter(|key| key.generation == generation) {
            key = self.key.replace(seen, Instant::now(), |last| self.read(last)).await.value;
        }
        key.is_some_and(|key| key.generation != generation && key.client.is_ok())
    }

    async fn read(&self, last: Last<Key, ApiKeySecretError>) -> Result<Refresh<Key>, ApiKeySecretError> {
        let (text, keep) = self.secret.text().await.inspect_err(|error| tracing::warn!("{error}"))?;
        let keep = |client: &Result<Client, _>| if client.is_ok() { keep } else { COOLDOWN };
        if let Some(last) = last.value.as_ref().filter(|last| last.text == text) {
            return Ok(Refresh::Same(keep(&last.client)));
        }
        let client = self.secret.client_with(&text);
        let (keep, generation) = (keep(&client), last.value.map_or(0, |last| last.generation) + 1);
        Ok(Refresh::New(Key { text, client, generation }, keep))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hooks_aws::secrets::Version;
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
            let client = Client::new(config).unwrap();
            (fake.clone(), Keyed::new(ApiKeySecret::new(client, fake, "key".to_owned())))
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
    async fn a_key_that_is_not_set_says_how_to_set_it_and_is_found_once_it_is() {
        let (fake, keyed) = Fake::keyed(Some("unset"));
        let error = keyed.client().await.unwrap_err().to_string();
        assert!(error.contains("put-secret-value --secret-id key"), "{error}");
        fake.becomes(Some("sk-1"));
        keyed.client().await.unwrap_err();
        assert_eq!(fake.reads(), 1);
        advance(COOLDOWN).await;
        keyed.client().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_with_a_slip_in_it_is_not_shown() {
        let (_, keyed) = Fake::keyed(Some("sk-very secret"));
        let error = keyed.client().await.unwrap_err().to_string();
        assert!(error.contains("unusable") && !error.contains("very"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_read_again_once_per_cooldown() {
        let (fake, keyed) = Fake::keyed(Some("sk-1"));
        keyed.client().await.unwrap();
        let generation = keyed.generation().await;
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
        let generation = keyed.generation().await;
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
        assert!(keyed.client().await.unwrap_err().to_string().contains("could not be read"));
        fake.becomes(Some("sk-1"));
        keyed.client().await.unwrap_err();
        assert_eq!(fake.reads(), 1);
        advance(UNREADABLE).await;
        keyed.client().await.unwrap();
    }
}
