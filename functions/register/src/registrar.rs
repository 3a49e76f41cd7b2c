//! What is done at OpenAI, and with the secret that it gives out.
//!
//! Creating an endpoint is not idempotent, and its signing secret is shown once. Both may be cut off at any point, so:
//!
//! - **Found before created.** Own is what has the template's name and URL. It is looked for before every attempt to
//!   create one, so neither CloudFormation's retry nor an answer that got lost makes a second.
//! - **Found means a new secret.** The one it was created with cannot be read again. It is rotated, with the old one
//!   kept for a day, and the new one stored. A rotation whose answer got lost is done again.
//! - **Stored before done.** An endpoint is reported as registered once its secret is where the verifier reads it.
//!   Deliveries from before then are answered 401 or 503, and OpenAI repeats them.

use std::future::Future;
use std::time::Duration;

use hooks_aws::secrets::{PLACEHOLDER, Store};
use hooks_openai::{ApiKey, Client, EndpointChange, EndpointSecret, ErrorClass, WebhookEndpoint};
use tokio::time::{Instant, sleep};

use crate::request::{Request, Wanted};
use crate::trouble::Trouble;

/// The physical id of an endpoint that could not be created. There is nothing to delete.
pub(crate) const NOT_REGISTERED: &str = "not-registered";

/// The physical id of one of which nobody knows whether it was created. Who deletes it has to look.
pub(crate) const PERHAPS_REGISTERED: &str = "perhaps-registered";

/// What the ids of OpenAI's endpoints begin with.
const ID_PREFIX: &str = "whe_";

/// The most that OpenAI lists at once.
const PAGE: u8 = 100;

/// How many pages are looked through for the own endpoint, the newest first.
const MAX_PAGES: usize = 10;

/// The wait after a first failure. It doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest wait between two attempts, unless OpenAI asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How often Secrets Manager is asked. Its client has tried more often underneath.
const SECRET_TRIES: u32 = 4;

/// Manages the endpoint.
pub(crate) struct Registrar {
    /// With a key to be replaced.
    pub(crate) openai: Client,
    pub(crate) store: Store,
    /// The id of the secret with the API key.
    pub(crate) key_secret: String,
}

/// A request that was done.
#[derive(Debug)]
pub(crate) struct Done {
    /// What CloudFormation calls the endpoint from now on.
    pub(crate) physical_id: String,
    /// For the log.
    pub(crate) outcome: &'static str,
    /// Why an endpoint was not deleted.
    pub(crate) left_behind: Option<Trouble>,
}

/// A request that was not done.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) why: Trouble,
    /// What CloudFormation calls what was created all the same; what has a name already keeps it.
    pub(crate) physical_id: String,
}

impl From<Trouble> for Failed {
    fn from(why: Trouble) -> Self {
        Self { why, physical_id: NOT_REGISTERED.to_owned() }
    }
}

impl From<hooks_openai::OpenAiError> for Failed {
    fn from(error: hooks_openai::OpenAiError) -> Self {
        Trouble::from(error).into()
    }
}

impl Registrar {
    /// Does what is asked for, before `until`.
    pub(crate) async fn handle(&self, request: &Request, until: Instant) -> Result<Done, Failed> {
        match (request.kind.as_str(), request.physical_id.as_deref()) {
            ("Create", _) => self.create(&self.client().await?, &request.wanted()?, until).await,
            ("Update", Some(id)) => {
                let (wanted, before) = (request.wanted()?, request.wanted_before()?);
                self.update(&self.client().await?, id, &before, &wanted, until).await
            }
            ("Delete", Some(id)) => match self.delete(id, request, until).await {
                // A stack that cannot be deleted is worse than an endpoint that delivers to nobody.
                Err(why) if why.is_about_the_key() => Ok(done(id, "left behind", Some(why))),
                result => Ok(done(id, result?, None)),
            },
            _ => Err(Trouble::Kind.into()),
        }
    }

    async fn create(&self, openai: &Client, wanted: &Wanted, until: Instant) -> Result<Done, Failed> {
        // Of no use to an endpoint that is found, but a failure here leaves nothing behind.
        let event_types = event_types(openai, wanted, until).await?;
        let mut pauses = Pauses::until(until);
        let mut left = NOT_REGISTERED;
        loop {
            let own = own(openai, wanted, until).await;
            let own = own.map_err(|why| Failed { why, physical_id: left.to_owned() })?;
            if let Some(endpoint) = own.into_iter().next() {
                return self.adopt(openai, endpoint, wanted, &event_types, until).await;
            }
            match openai.create_webhook_endpoint(&wanted.name, &wanted.url, &event_types, until).await {
                Ok((endpoint, secret)) => {
                    let stored = self.keep(&secret, wanted).await;
                    return registered(endpoint.id, "created", stored);
                }
                Err(error) => {
                    // Whatever else OpenAI refuses, it has not done.
                    if error.status().is_none_or(|status| status >= 500) {
                        left = PERHAPS_REGISTERED;
                    }
                    if !pauses.wait_after(&error).await {
                        return Err(Failed { why: error.into(), physical_id: left.to_owned() });
                    }
                }
            }
        }
    }

    /// Makes the own endpoint that was found what is wanted. The secret comes last: until it is stored, deliveries are
    /// signed with one that nobody has.
    async fn adopt(
        &self,
        openai: &Client,
        found: WebhookEndpoint,
        wanted: &Wanted,
        event_types: &[String],
        until: Instant,
    ) -> Result<Done, Failed> {
        // Where all are wanted, those that only the dashboard can add stay.
        let mut target = event_types.to_vec();
        if wanted.event_types.is_empty() {
            target.extend(found.event_types.iter().filter(|name| !event_types.contains(name)).cloned());
        }
        let change = EndpointChange { event_types: Some(&target), ..EndpointChange::default() };
        let result = async {
            if !same(&target, &found.event_types) {
                patiently(until, || openai.update_webhook_endpoint(&found.id, change, until)).await?;
            }
            self.renew(openai, &found.id, wanted, until).await
        };
        let result = result.await;
        registered(found.id, "found again", result)
    }

    /// Sends what changed in the template and nothing else, so that what was changed in the dashboard stays.
    async fn update(
        &self,
        openai: &Client,
        id: &str,
        before: &Wanted,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<Done, Failed> {
        match self.change(openai, id, before, wanted, until).await {
            Ok(()) => Ok(done(id, "updated", None)),
            // Somebody deleted it by hand, or the key is another project's now.
            // Should this fail in turn, it keeps its id: whatever was created is found by the next attempt.
            Err(Trouble::OpenAi(error)) if error.class() == ErrorClass::NotFound => {
                self.create(openai, wanted, until).await
            }
            Err(why) => Err(why.into()),
        }
    }

    async fn change(
        &self,
        openai: &Client,
        id: &str,
        before: &Wanted,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<(), Trouble> {
        let types_change = !same(&before.event_types, &wanted.event_types);
        let types = if types_change { event_types(openai, wanted, until).await? } else { Vec::new() };
        let change = EndpointChange {
            name: (before.name != wanted.name).then_some(wanted.name.as_str()),
            url: (before.url != wanted.url).then_some(wanted.url.as_str()),
            event_types: types_change.then_some(types.as_slice()),
        };
        if change.name.is_some() || change.url.is_some() || change.event_types.is_some() {
            patiently(until, || openai.update_webhook_endpoint(id, change, until)).await?;
        } else {
            patiently(until, || openai.webhook_endpoint(id, until)).await?;
        }
        if before.signing_secret != wanted.signing_secret {
            self.renew(openai, id, wanted, until).await?;
        }
        Ok(())
    }

    async fn delete(&self, id: &str, request: &Request, until: Instant) -> Result<&'static str, Trouble> {
        if id == NOT_REGISTERED {
            return Ok("nothing to delete");
        }
        let openai = self.client().await?;
        let ids = if id.starts_with(ID_PREFIX) {
            vec![id.to_owned()]
        } else {
            own(&openai, &request.wanted()?, until).await?.into_iter().map(|endpoint| endpoint.id).collect()
        };
        let mut outcome = "gone already";
        for id in ids {
            match patiently(until, || openai.delete_webhook_endpoint(&id, until)).await {
                Ok(()) => outcome = "deleted",
                Err(error) if error.class() == ErrorClass::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    /// A new secret for the endpoint, stored.
    async fn renew(&self, openai: &Client, id: &str, wanted: &Wanted, until: Instant) -> Result<(), Trouble> {
        let (_, secret) = patiently(until, || openai.rotate_webhook_secret(id, true, until)).await?;
        self.keep(&secret, wanted).await
    }

    async fn keep(&self, secret: &EndpointSecret, wanted: &Wanted) -> Result<(), Trouble> {
        let id = &wanted.signing_secret;
        let stored = repeatedly(|| self.store.put(id, secret.expose())).await;
        stored.map_err(|error| Trouble::NotStored(id.clone(), error))
    }

    /// OpenAI with the key of the moment.
    async fn client(&self) -> Result<Client, Trouble> {
        let id = &self.key_secret;
        let text = repeatedly(|| self.store.text(id)).await;
        let text = text.map_err(|error| Trouble::KeyUnreadable(id.clone(), error))?;
        if matches!(text.trim(), PLACEHOLDER | "") {
            return Err(Trouble::KeyUnset(id.clone()));
        }
        let key: ApiKey = text.parse().map_err(|error| Trouble::KeyUnusable(id.clone(), error))?;
        Ok(self.openai.with_api_key(key))
    }
}

fn done(physical_id: &str, outcome: &'static str, left_behind: Option<Trouble>) -> Done {
    Done { physical_id: physical_id.to_owned(), outcome, left_behind }
}

/// An endpoint that is there, whatever became of the rest: CloudFormation deletes it when that failed.
fn registered(id: String, outcome: &'static str, rest: Result<(), Trouble>) -> Result<Done, Failed> {
    match rest {
        Ok(()) => Ok(Done { physical_id: id, outcome, left_behind: None }),
        Err(why) => Err(Failed { why, physical_id: id }),
    }
}

/// The endpoints with this name and URL.
async fn own(openai: &Client, wanted: &Wanted, until: Instant) -> Result<Vec<WebhookEndpoint>, Trouble> {
    let mut own = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = patiently(until, || openai.webhook_endpoints(after.as_deref(), PAGE, until)).await?;
        own.extend(page.items.into_iter().filter(|found| found.name == wanted.name && found.url == wanted.url));
        after = page.next;
        if after.is_none() {
            return Ok(own);
        }
    }
    Err(Trouble::TooManyEndpoints)
}

/// What the endpoint is to deliver.
async fn event_types(openai: &Client, wanted: &Wanted, until: Instant) -> Result<Vec<String>, Trouble> {
    if wanted.event_types.is_empty() {
        return Ok(patiently(until, || openai.webhook_event_types(until)).await?);
    }
    Ok(wanted.event_types.clone())
}

/// Whether both have the same members.
fn same(one: &[String], other: &[String]) -> bool {
    one.iter().all(|name| other.contains(name)) && other.iter().all(|name| one.contains(name))
}

/// Calls OpenAI until it answers for good, or time runs out.
async fn patiently<T, F>(until: Instant, call: impl Fn() -> F) -> Result<T, hooks_openai::OpenAiError>
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

/// Calls Secrets Manager a few times.
async fn repeatedly<T, E, F>(call: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..SECRET_TRIES {
        if let Ok(value) = call().await {
            return Ok(value);
        }
        sleep(pause).await;
        pause *= 2;
    }
    call().await
}

/// The waits between attempts.
struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    const fn until(until: Instant) -> Self {
        Self { next: FIRST_PAUSE, until }
    }

    /// Waits, if that can help and there is time.
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
