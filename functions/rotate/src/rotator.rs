//! The four steps.

use hooks_aws::ledger::Ledger;
use hooks_aws::secrets::{PLACEHOLDER, Put, Rotation, Stage, Store, Version, Versions};
use hooks_aws::{Config, Environment, Faults};
use hooks_openai::{ApiKey, Client, ErrorClass};
use hooks_telemetry::Line;
use serde_json::Value;

use crate::failure::Failure;
use crate::probe::Probe;
use crate::step::{Request, Step};
use crate::time::Time;

/// Rotates the signing secret of one endpoint.
pub(crate) struct Rotator {
    secrets: Rotation,
    keys: Store,
    ledger: Ledger,
    /// OpenAI; the key is read anew for every rotation.
    openai: Client,
    api_key_secret: String,
    /// The endpoint's id at OpenAI.
    endpoint: String,
    probe: Probe,
}

/// How a step ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Now,
    /// An earlier try did it.
    Before,
    /// There is nothing to do in this step.
    Nothing,
}

impl Ended {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "done",
            Self::Before => "done_before",
            Self::Nothing => "nothing_to_do",
        }
    }
}

impl Rotator {
    pub(crate) fn from_env(mut environment: Environment) -> Result<Self, Faults> {
        let config = Config::from_env(&mut environment);
        let table = environment.required("TABLE_NAME");
        let openai = environment.parsed("OPENAI_BASE_URL", Client::without_key);
        let api_key_secret = environment.required("OPENAI_API_KEY_SECRET");
        let probe = environment.parsed("WEBHOOK_URL", Probe::new);
        let endpoint = environment.required("ENDPOINT_ID");
        environment.finish(|| {
            let config = config?;
            Some(Self {
                secrets: Rotation::new(&config),
                keys: Store::new(&config),
                ledger: Ledger::new(&config, table?),
                openai: openai?,
                api_key_secret: api_key_secret?,
                endpoint: endpoint?,
                probe: probe?,
            })
        })
    }

    /// Does one step, and logs how it ended.
    pub(crate) async fn handle(&self, event: Value, deadline: u64) -> Result<(), Failure> {
        let request = Request::read(event);
        let result = match &request {
            Some(request) => self.step(request, Time::until(deadline)).await,
            None => Err(Failure::UnusableEvent),
        };
        let line = match &result {
            Ok(ended) => Line::info("rotation step done").text("outcome", ended.as_str()),
            Err(failure) => Line::error("rotation step failed")
                .text("outcome", failure.reason())
                .text("error", &failure.to_string()),
        };
        let line = match &request {
            Some(Request { step, secret, version }) => {
                line.text("rotation.step", step.as_str()).text("secret.id", secret).text("secret.version_id", version)
            }
            None => line,
        };
        line.emit();
        result.map(drop)
    }

    async fn step(&self, request: &Request, time: Time) -> Result<Ended, Failure> {
        let Request { step, secret, version } = request;
        let versions = self.secrets.versions(secret).await?;
        if !versions.rotated {
            return Err(Failure::RotationOff);
        }
        if !versions.has(version) {
            return Err(Failure::UnknownVersion);
        }
        if versions.is_at(version, Stage::Current) {
            return Ok(Ended::Before);
        }
        if !versions.is_at(version, Stage::Pending) {
            return Err(Failure::NotPending);
        }
        match step {
            Step::Create => self.create(secret, version, time).await,
            // OpenAI makes the secrets, and signs with a new one from the moment that it gave it out.
            Step::Set => Ok(Ended::Nothing),
            Step::Test => self.test(secret, version, time).await,
            Step::Finish => self.finish(secret, version, &versions).await,
        }
    }

    /// Has OpenAI make a new secret and stores it. One try at a time: of two secrets made side by side nobody could
    /// tell which one is the newer, and the older is good for a day only.
    async fn create(&self, secret: &str, version: &str, time: Time) -> Result<Ended, Failure> {
        let lease = self.ledger.lease(&format!("rotate/{secret}"), time.lease()).await?.ok_or(Failure::Busy)?;
        let result = self.create_alone(secret, version, time).await;
        if let Err(error) = self.ledger.end_lease(&lease).await {
            tracing::warn!(%error, "the next try has to wait until the lease is over");
        }
        result
    }

    async fn create_alone(&self, secret: &str, version: &str, time: Time) -> Result<Ended, Failure> {
        if self.secrets.value(secret, version).await?.is_some() {
            return Ok(Ended::Before);
        }
        // What can fail fails before OpenAI has made a secret, for each one that gets lost ends an older one.
        let openai = self.openai().await?;
        self.secrets.try_writing(secret).await.map_err(Failure::NotWritable)?;
        let made = openai.rotate_webhook_secret(&self.endpoint, true, time.to_rotate()).await;
        let (_, made) = made.map_err(|error| match error.class() {
            ErrorClass::NotFound => Failure::NoEndpoint(self.endpoint.clone()),
            _ => error.into(),
        })?;
        let put = async |version| self.secrets.put_pending(secret, version, made.expose()).await;
        match put(Some(version)).await.map_err(Failure::NotStored)? {
            Put::Stored => Ok(Ended::Now),
            // The value was not there yet when it was looked for. It can't be changed, and this one is newer.
            Put::Taken => match put(None).await {
                Ok(_) => Err(Failure::Superseded),
                Err(error) => Err(Failure::NotStored(error)),
            },
        }
    }

    async fn test(&self, secret: &str, version: &str, time: Time) -> Result<Ended, Failure> {
        let pending = self.pending(secret, version).await?;
        let key = hooks_webhook::Secret::parse(&pending.text).map_err(Failure::Unusable)?;
        self.probe.deliver(&key, version, time.to_try()).await.map(|()| Ended::Now)
    }

    async fn finish(&self, secret: &str, version: &str, versions: &Versions) -> Result<Ended, Failure> {
        let pending = self.pending(secret, version).await?;
        let current = versions.current();
        if let Some(current) = current
            && let Some(current) = self.secrets.value(secret, current).await?
            && current.created_at > pending.created_at
        {
            return Err(Failure::Overtaken);
        }
        self.secrets.put_into_use(secret, version, current).await.map_err(Failure::NotInUse)?;
        Ok(Ended::Now)
    }

    async fn pending(&self, secret: &str, version: &str) -> Result<Version, Failure> {
        self.secrets.value(secret, version).await?.ok_or(Failure::NoValue)
    }

    async fn openai(&self) -> Result<Client, Failure> {
        let text = self.keys.text(&self.api_key_secret).await.map_err(|error| Failure::ApiKey(error.to_string()))?;
        if text.trim() == PLACEHOLDER {
            return Err(Failure::ApiKey(format!(
                "it was never set; set it: aws secretsmanager put-secret-value --secret-id {} --secret-string 'sk-...'",
                self.api_key_secret
            )));
        }
        let key = text.parse::<ApiKey>().map_err(|error| Failure::ApiKey(error.to_string()))?;
        Ok(self.openai.with_api_key(key))
    }
}
