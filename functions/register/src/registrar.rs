//! The endpoint at OpenAI, and the signing secret that OpenAI gives out for it.
//!
//! Creating an endpoint is not idempotent, and its signing secret is shown once. Both may be cut off at any point, so:
//!
//! - **Found before created.** The stack's own endpoint is the one with the template's name and URL. Every attempt to
//!   create it looks for it first, so neither CloudFormation's retry nor a lost answer makes a second.
//! - **Found means a new secret.** The secret of an existing endpoint cannot be read again. It is rotated, with the old
//!   one valid for a day, and the new one stored. A rotation whose answer got lost is repeated.
//! - **Stored before done.** An endpoint is reported as registered once its secret is where the verifier reads it.
//!   Earlier deliveries are answered 401 or 503, and OpenAI repeats them.

use std::future::Future;
use std::time::Duration;

use hooks_aws::secrets::Store;
use hooks_function::{ApiKeySecret, ApiKeySecretError};
use hooks_openai::{Client, EndpointChange, EndpointSecret, ErrorClass, WebhookEndpoint};
use tokio::time::{Instant, sleep};

use crate::error::RegistrationError;
use crate::request::{DesiredEndpoint, Request};

/// The physical id of an endpoint that could not be created. There is nothing to delete.
pub(crate) const NOT_REGISTERED: &str = "not-registered";

/// The physical id of an endpoint that may or may not have been created. A deletion has to look for it.
pub(crate) const PERHAPS_REGISTERED: &str = "perhaps-registered";

/// Prefix of the ids of OpenAI's endpoints.
const ID_PREFIX: &str = "whe_";

/// Prefixes of event types that are not subscribed to by default: the APIs behind them end or are not handled.
const NOT_BY_DEFAULT: [&str; 2] = ["eval.", "video."];

/// Entries per page: the most that OpenAI lists at once.
const PAGE: u8 = 100;

/// Pages searched for the stack's own endpoint, the newest first.
const MAX_PAGES: usize = 10;

/// Pause after the first failure. It doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause between two attempts, unless OpenAI asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Attempts at Secrets Manager. Its client has retried underneath.
const SECRET_ATTEMPTS: u32 = 4;

/// Manages the endpoint.
pub(crate) struct Registrar {
    pub(crate) api_key: ApiKeySecret,
    pub(crate) store: Store,
}

/// Result of a request that was carried out.
#[derive(Debug)]
pub(crate) struct Completion {
    /// The endpoint's id for CloudFormation.
    pub(crate) physical_id: String,
    /// For the log.
    pub(crate) outcome: &'static str,
    /// Why an endpoint was not deleted.
    pub(crate) left_behind: Option<RegistrationError>,
}

/// A request that was not carried out.
#[derive(Debug)]
pub(crate) struct FailedRequest {
    pub(crate) error: RegistrationError,
    /// The id for CloudFormation of whatever was created all the same. A resource that has an id already keeps it.
    pub(crate) physical_id: String,
}

impl<E: Into<RegistrationError>> From<E> for FailedRequest {
    fn from(error: E) -> Self {
        Self { error: error.into(), physical_id: NOT_REGISTERED.to_owned() }
    }
}

impl Registrar {
    /// Carries out a request before `until`.
    pub(crate) async fn handle(&self, request: &Request, until: Instant) -> Result<Completion, FailedRequest> {
        match (request.kind.as_str(), request.physical_id.as_deref()) {
            ("Create", _) => self.session(until).await?.create(&request.desired()?).await,
            ("Update", Some(id)) => {
                let (desired, before) = (request.desired()?, request.desired_before()?);
                self.session(until).await?.update(id, &before, &desired).await
            }
            ("Delete", Some(id)) => match self.delete(id, request, until).await {
                // A stack that cannot be deleted is worse than an endpoint that delivers to nobody.
                Err(error) if error.is_about_the_key() => Ok(completion(id, "left behind", Some(error))),
                result => Ok(completion(id, result?, None)),
            },
            _ => Err(RegistrationError::UnknownRequest.into()),
        }
    }

    async fn delete(&self, id: &str, request: &Request, until: Instant) -> Result<&'static str, RegistrationError> {
        if id == NOT_REGISTERED {
            return Ok("nothing to delete");
        }
        let session = self.session(until).await?;
        let ids = if id.starts_with(ID_PREFIX) {
            vec![id.to_owned()]
        } else {
            session.own(&request.desired()?).await?.into_iter().map(|endpoint| endpoint.id).collect()
        };
        let mut outcome = "gone already";
        for id in ids {
            match retry(until, || session.openai.delete_webhook_endpoint(&id, until)).await {
                Ok(()) => outcome = "deleted",
                Err(error) if error.class() == ErrorClass::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    /// Reads the API key.
    async fn session(&self, until: Instant) -> Result<Session<'_>, RegistrationError> {
        let is_transient = |error: &ApiKeySecretError| matches!(error, ApiKeySecretError::Unreadable(..));
        let openai = retry_secret(is_transient, || self.api_key.client()).await?;
        Ok(Session { openai, store: &self.store, until })
    }
}

/// The calls of one request.
struct Session<'a> {
    openai: Client,
    store: &'a Store,
    until: Instant,
}

impl Session<'_> {
    async fn create(&self, desired: &DesiredEndpoint) -> Result<Completion, FailedRequest> {
        // Of no use to an endpoint that is found, but a failure here leaves nothing behind.
        let event_types = self.event_types(desired).await?;
        let mut pauses = Pauses::until(self.until);
        let mut left = NOT_REGISTERED;
        loop {
            let own = self.own(desired).await;
            let own = own.map_err(|error| FailedRequest { error, physical_id: left.to_owned() })?;
            if let Some(endpoint) = own.into_iter().next() {
                return self.adopt(endpoint, desired, event_types).await;
            }
            let created =
                self.openai.create_webhook_endpoint(&desired.name, &desired.url, &event_types, self.until).await;
            match created {
                Ok((endpoint, secret)) => {
                    let stored = self.store_secret(&secret, desired).await;
                    return registered(endpoint.id, "created", stored);
                }
                Err(error) => {
                    // Whatever OpenAI refuses otherwise, it has not done.
                    if error.status().is_none_or(|status| status >= 500) {
                        left = PERHAPS_REGISTERED;
                    }
                    if !pauses.wait_after(&error).await {
                        return Err(FailedRequest { error: error.into(), physical_id: left.to_owned() });
                    }
                }
            }
        }
    }

    /// Changes the stack's own endpoint, which was found, to the desired one. The secret comes last: until it is stored,
    /// deliveries are signed with a secret that the verifier does not have.
    async fn adopt(
        &self,
        found: WebhookEndpoint,
        desired: &DesiredEndpoint,
        mut event_types: Vec<String>,
    ) -> Result<Completion, FailedRequest> {
        // Without a choice in the template, types that were added in the dashboard stay.
        if desired.event_types.is_empty() {
            let others = found.event_types.iter().filter(|name| !event_types.contains(name)).cloned();
            event_types.extend(others.collect::<Vec<_>>());
        }
        let change = EndpointChange { event_types: Some(&event_types), ..EndpointChange::default() };
        let result = async {
            if !same(&event_types, &found.event_types) {
                retry(self.until, || self.openai.update_webhook_endpoint(&found.id, change, self.until)).await?;
            }
            self.renew_secret(&found.id, desired).await
        };
        let result = result.await;
        registered(found.id, "found again", result)
    }

    /// Sends what changed in the template and nothing else, so that changes made in the dashboard stay.
    async fn update(
        &self,
        id: &str,
        before: &DesiredEndpoint,
        desired: &DesiredEndpoint,
    ) -> Result<Completion, FailedRequest> {
        match self.change(id, before, desired).await {
            Ok(()) => Ok(completion(id, "updated", None)),
            // It was deleted by hand, or the key belongs to another project now. Should this fail in turn, the resource
            // keeps its id: whatever was created is found by the next attempt.
            Err(RegistrationError::OpenAi(error)) if error.class() == ErrorClass::NotFound => {
                self.create(desired).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn change(
        &self,
        id: &str,
        before: &DesiredEndpoint,
        desired: &DesiredEndpoint,
    ) -> Result<(), RegistrationError> {
        let types_change = !same(&before.event_types, &desired.event_types);
        let types = if types_change { self.event_types(desired).await? } else { Vec::new() };
        let change = EndpointChange {
            name: (before.name != desired.name).then_some(desired.name.as_str()),
            url: (before.url != desired.url).then_some(desired.url.as_str()),
            event_types: types_change.then_some(types.as_slice()),
        };
        if change.name.is_some() || change.url.is_some() || change.event_types.is_some() {
            retry(self.until, || self.openai.update_webhook_endpoint(id, change, self.until)).await?;
        } else {
            retry(self.until, || self.openai.webhook_endpoint(id, self.until)).await?;
        }
        if before.signing_secret != desired.signing_secret {
            self.renew_secret(id, desired).await?;
        }
        Ok(())
    }

    /// Has OpenAI make a new secret for the endpoint, and stores it.
    async fn renew_secret(&self, id: &str, desired: &DesiredEndpoint) -> Result<(), RegistrationError> {
        let (_, secret) = retry(self.until, || self.openai.rotate_webhook_secret(id, true, self.until)).await?;
        self.store_secret(&secret, desired).await
    }

    async fn store_secret(&self, secret: &EndpointSecret, desired: &DesiredEndpoint) -> Result<(), RegistrationError> {
        let id = &desired.signing_secret;
        let stored = retry_secret(|_| true, || self.store.put(id, secret.expose())).await;
        stored.map_err(|error| RegistrationError::NotStored(id.clone(), error))
    }

    /// The endpoints with this name and URL.
    async fn own(&self, desired: &DesiredEndpoint) -> Result<Vec<WebhookEndpoint>, RegistrationError> {
        let mut own = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = retry(self.until, || self.openai.webhook_endpoints(after.as_deref(), PAGE, self.until)).await?;
            own.extend(page.items.into_iter().filter(|found| found.name == desired.name && found.url == desired.url));
            after = page.next;
            if after.is_none() {
                return Ok(own);
            }
        }
        Err(RegistrationError::TooManyEndpoints)
    }

    /// The event types to deliver.
    async fn event_types(&self, desired: &DesiredEndpoint) -> Result<Vec<String>, RegistrationError> {
        if !desired.event_types.is_empty() {
            return Ok(desired.event_types.clone());
        }
        let mut offered = retry(self.until, || self.openai.webhook_event_types(self.until)).await?;
        offered.retain(|name| !NOT_BY_DEFAULT.iter().any(|prefix| name.starts_with(prefix)));
        Ok(offered)
    }
}

fn completion(physical_id: &str, outcome: &'static str, left_behind: Option<RegistrationError>) -> Completion {
    Completion { physical_id: physical_id.to_owned(), outcome, left_behind }
}

/// An endpoint that exists, whatever became of the rest: CloudFormation deletes it when that failed.
fn registered(
    id: String,
    outcome: &'static str,
    rest: Result<(), RegistrationError>,
) -> Result<Completion, FailedRequest> {
    match rest {
        Ok(()) => Ok(completion(&id, outcome, None)),
        Err(error) => Err(FailedRequest { error, physical_id: id }),
    }
}

/// Whether both have the same members.
fn same(one: &[String], other: &[String]) -> bool {
    one.iter().all(|name| other.contains(name)) && other.iter().all(|name| one.contains(name))
}

/// Repeats a call of OpenAI until its answer is final, or time runs out.
async fn retry<T, F>(until: Instant, call: impl Fn() -> F) -> Result<T, hooks_openai::OpenAiError>
where
    F: Future<Output = Result<T, hooks_openai::OpenAiError>>,
{
    let mut pauses = Pauses::until(until);
    loop {
        match call().await {
            Err(error) if pauses.wait_after(&error).await => {}
            result => return result,
        }
    }
}

/// Repeats a call of Secrets Manager a few times, as long as its error may be transient.
async fn retry_secret<T, E, F>(is_transient: impl Fn(&E) -> bool, call: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..SECRET_ATTEMPTS {
        match call().await {
            Err(error) if is_transient(&error) => sleep(pause).await,
            result => return result,
        }
        pause *= 2;
    }
    call().await
}

/// The pauses between attempts.
struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    const fn until(until: Instant) -> Self {
        Self { next: FIRST_PAUSE, until }
    }

    /// Waits and returns true, if another attempt can help and there is time for it.
    async fn wait_after(&mut self, error: &hooks_openai::OpenAiError) -> bool {
        let pause = self.next.max(error.retry_after().unwrap_or_default());
        if error.class() != ErrorClass::Retry || Instant::now() + pause >= self.until {
            return false;
        }
        sleep(pause).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}
