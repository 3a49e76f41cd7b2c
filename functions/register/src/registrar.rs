//! The endpoint at OpenAI, and the signing secret that OpenAI gives out for it.
//!
//! Creating an endpoint is not idempotent, and its signing secret is shown once. Both may be cut off at any point, so:
//!
//! - **One at a time.** A lease in the ledger, the one that rotations of the secret take, admits one attempt: of two secrets
//!   made side by side nobody could tell which is newer, and OpenAI keeps the older for a day only.
//! - **Found before created, and looked for again after.** The stack's own endpoint is the one with the template's name and
//!   URL. Every attempt to create it looks for it first, so neither CloudFormation's retry nor a lost answer makes a second.
//!   An answer may be later than any lease, so of several the oldest stays, the same for whoever looks.
//! - **Found means a new secret.** The secret of an existing endpoint cannot be read again. It is rotated, with the old
//!   one valid for a day, and the new one stored. A rotation whose answer got lost is repeated.
//! - **Stored before done.** An endpoint is reported as registered once its secret is where the verifier reads it.
//!   Earlier deliveries are answered 401 or 503, and OpenAI repeats them.

use std::future::Future;
use std::time::Duration;

use hooks_aws::ledger::Ledger;
use hooks_aws::secrets::Store;
use hooks_function::{ApiKeySecret, ApiKeySecretError};
use hooks_openai::{Client, EndpointChange, EndpointSecret, ErrorClass, WebhookEndpoint};
use tokio::time::{Instant, sleep};

use crate::error::RegistrationError;
use crate::request::{DesiredEndpoint, Request};
use crate::retry::{Pauses, retry, retry_secret};

/// The physical id of an endpoint that could not be created. There is nothing to delete.
const NOT_REGISTERED: &str = "not-registered";

/// The physical id of an endpoint that may or may not have been created. A deletion has to look for it.
const PERHAPS_REGISTERED: &str = "perhaps-registered";

/// Prefix of the ids of OpenAI's endpoints.
const ID_PREFIX: &str = "whe_";

/// Prefixes of event types that are not subscribed to by default: the APIs behind them end or are not handled.
const NOT_BY_DEFAULT: [&str; 2] = ["eval.", "video."];

/// Entries per page: the most that OpenAI lists at once.
const PAGE: u8 = 100;

/// Pages searched for the stack's own endpoint, the newest first.
const MAX_PAGES: usize = 10;

/// Pause before the lease is asked for again.
const LEASE_PAUSE: Duration = Duration::from_millis(500);

/// Manages the endpoint.
pub(crate) struct Registrar {
    pub(crate) api_key: ApiKeySecret,
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
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

/// A failure after which an endpoint may be there.
pub(crate) fn perhaps(error: impl Into<RegistrationError>) -> FailedRequest {
    FailedRequest { error: error.into(), physical_id: PERHAPS_REGISTERED.to_owned() }
}

impl Registrar {
    /// Carries out a request before `until`. A lease that it takes ends at `lease_until`, in milliseconds since the Unix
    /// epoch.
    pub(crate) async fn handle(
        &self,
        request: &Request,
        until: Instant,
        lease_until: i64,
    ) -> Result<Completion, FailedRequest> {
        match (request.kind.as_str(), request.physical_id.as_deref()) {
            ("Create", _) => {
                let (desired, session) = (request.desired()?, self.session(until).await?);
                self.alone(&desired, until, lease_until, Box::pin(session.create(&desired))).await
            }
            ("Update", Some(id)) => {
                let (desired, before) = (request.desired()?, request.desired_before()?);
                let session = self.session(until).await?;
                self.alone(&desired, until, lease_until, Box::pin(session.update(id, &before, &desired))).await
            }
            ("Delete", Some(id)) => match self.delete(id, request, until).await {
                // A stack that cannot be deleted is worse than an endpoint that delivers to nobody.
                Err(error) if error.is_about_the_key() => Ok(completion(id, "left behind", Some(error))),
                result => Ok(completion(id, result?, None)),
            },
            _ => Err(RegistrationError::UnknownRequest.into()),
        }
    }

    /// Does the work under the lease of the signing secret, for which it waits.
    async fn alone(
        &self,
        desired: &DesiredEndpoint,
        until: Instant,
        lease_until: i64,
        work: impl Future<Output = Result<Completion, FailedRequest>>,
    ) -> Result<Completion, FailedRequest> {
        let lease = loop {
            match self.ledger.rotation_lease(&desired.signing_secret, lease_until).await.map_err(perhaps)? {
                Some(lease) => break lease,
                None if Instant::now() + LEASE_PAUSE < until => sleep(LEASE_PAUSE).await,
                None => return Err(perhaps(RegistrationError::Busy)),
            }
        };
        let result = work.await;
        if let Err(error) = self.ledger.end_lease(&lease).await {
            tracing::warn!(%error, "the lease could not be released; the next attempt has to wait until it is over");
        }
        result
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
            if session.delete(&id).await? {
                outcome = "deleted";
            }
        }
        Ok(outcome)
    }

    /// Reads the API key.
    async fn session(&self, until: Instant) -> Result<Session<'_>, RegistrationError> {
        let is_transient = |error: &ApiKeySecretError| !error.is_setup();
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
            if let Some(found) = self.keep_oldest(desired, None).await.map_err(perhaps)? {
                return self.adopt(found, desired, event_types).await;
            }
            match self.openai.create_webhook_endpoint(&desired.name, &desired.url, &event_types, self.until).await {
                Ok((WebhookEndpoint { id, .. }, secret)) => {
                    // Another request may have made one meanwhile. A list without any lags behind.
                    return match self.keep_oldest(desired, Some(&id)).await.map_err(perhaps)? {
                        Some(older) if older.id != id => self.adopt(older, desired, event_types).await,
                        _ => registered(id, "created", self.store_secret(&secret, desired).await),
                    };
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

    /// The oldest of the stack's own endpoints, after every other was deleted, `created` as well. It is the same for
    /// whoever looks, so two attempts keep the same one.
    async fn keep_oldest(
        &self,
        desired: &DesiredEndpoint,
        created: Option<&str>,
    ) -> Result<Option<WebhookEndpoint>, RegistrationError> {
        let mut own = self.own(desired).await?;
        // OpenAI lists the newest first.
        let Some(oldest) = own.pop() else { return Ok(None) };
        for id in own.iter().map(|endpoint| endpoint.id.as_str()).chain(created).filter(|id| *id != oldest.id) {
            self.delete(id).await?;
        }
        Ok(Some(oldest))
    }

    /// Deletes an endpoint; `false` if it is not there.
    async fn delete(&self, id: &str) -> Result<bool, RegistrationError> {
        match retry(self.until, || self.openai.delete_webhook_endpoint(id, self.until)).await {
            Ok(()) => Ok(true),
            Err(error) if error.class() == ErrorClass::NotFound => Ok(false),
            Err(error) => Err(error.into()),
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
