//! Part of the task `expectations`: what no event and no metric of AWS's own tells of, dead letters that stay and secrets
//! that nobody has set.

use std::collections::BTreeMap;

use hooks_aws::Config;
use hooks_aws::queue::QueueSender;
use hooks_aws::secrets::Rotation;
use hooks_function::text::{day_of, moment};
use hooks_function::{Environment, Error};
use hooks_telemetry::{Line, Metric};

use crate::alert::{self, Alert};
use crate::services::Services;

const DAY: i64 = 24 * 60 * 60;

/// How long somebody who has just deployed may take to set the secrets, in seconds.
const TO_SET_SECRETS: i64 = 60 * 60;

/// Name of the note that all secrets are set. It is forgotten with everything else, and then they are looked at again.
const ALL_SET: &str = "secrets/set";

/// What is looked at.
pub(crate) struct Watched {
    sender: QueueSender,
    secrets: Rotation,
    /// URLs of the dead-letter queues, by category.
    dead_letters: BTreeMap<String, String>,
    /// Ids of the secrets that the stack created, by the names that the command line has for them.
    created_secrets: BTreeMap<String, String>,
}

impl Watched {
    /// From `DEAD_LETTER_QUEUE_URLS` and `CREATED_SECRETS`, JSON objects. A secret without an id is not the stack's.
    pub(crate) fn from_env(environment: &mut Environment, config: Option<&Config>) -> Option<Self> {
        let mut map = |name| {
            let read = |text: &str| serde_json::from_str(text).map_err(|_| "is not a JSON object of texts".to_owned());
            environment.parsed::<BTreeMap<String, String>>(name, read)
        };
        let (dead_letters, created) = (map("DEAD_LETTER_QUEUE_URLS"), map("CREATED_SECRETS"));
        let (config, mut created_secrets) = (config?, created?);
        created_secrets.retain(|_, id| !id.is_empty());
        let (sender, secrets) = (QueueSender::new(config), Rotation::new(config));
        Some(Self { sender, secrets, dead_letters: dead_letters?, created_secrets })
    }
}

/// Counts the dead letters for the alarm, and reminds people of what is still there.
pub(crate) async fn run(services: &Services, now: i64) -> Result<(), Error> {
    let letters = dead_letters(services, now).await;
    let secrets = secrets(services, now).await;
    letters.and(secrets)
}

/// People hear of dead letters by the alarm, and again on each day that begins with some.
async fn dead_letters(services: &Services, now: i64) -> Result<(), Error> {
    let Watched { sender, dead_letters, .. } = &services.watched;
    let mut waiting = BTreeMap::new();
    for (category, url) in dead_letters {
        let number = sender.waiting(url).await?;
        if number > 0 {
            waiting.insert(category.as_str(), number);
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    Line::warn("dead letters wait").metric(Metric::DeadLetters, waiting.values().sum()).emit();
    let (today, yesterday) = (note(now), note(now - DAY));
    let ledger = &services.reconciler.ledger;
    if ledger.was_told(&today).await? {
        return Ok(());
    }
    if ledger.was_told(&yesterday).await? {
        tell(services, &alert::dead_letters_wait(&waiting)).await?;
    }
    Ok(ledger.told(&today).await?)
}

fn note(at: i64) -> String {
    format!("dead-letters/{}", day_of(at))
}

/// People hear of secrets that are not set an hour after the deployment, each day.
async fn secrets(services: &Services, now: i64) -> Result<(), Error> {
    let Watched { secrets, created_secrets, .. } = &services.watched;
    let ledger = &services.reconciler.ledger;
    if created_secrets.is_empty() || ledger.was_told(ALL_SET).await? {
        return Ok(());
    }
    let mut unset = BTreeMap::new();
    for (name, id) in created_secrets {
        if let Some(created) = secrets.untouched_since(id).await? {
            unset.insert(name.as_str(), created);
        }
    }
    let Some(since) = unset.values().min().copied() else { return Ok(ledger.told(ALL_SET).await?) };
    let today = format!("secrets-unset/{}", day_of(now));
    if now - since >= TO_SET_SECRETS && !ledger.was_told(&today).await? {
        let names: Vec<&str> = unset.into_keys().collect();
        tell(services, &alert::secrets_unset(&names, &moment(since))).await?;
        ledger.told(&today).await?;
    }
    Ok(())
}

async fn tell(services: &Services, alert: &Alert) -> Result<(), Error> {
    Ok(services.reconciler.alert(alert).await?)
}
