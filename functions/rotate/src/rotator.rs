//! The four steps.

use std::time::Duration;

use hooks_aws::ledger::Ledger;
use hooks_aws::secrets::{Put, Rotation, Stage, Versions};
use hooks_function::{ApiKeySecret, Config, Deadline, Environment, EnvironmentError};
use hooks_openai::ErrorClass;
use hooks_telemetry::Line;
use serde_json::Value;

use crate::error::RotationError;
use crate::request::{Request, Step};
use crate::test_delivery::TestDelivery;

/// Time kept back to store a secret that OpenAI has made.
const FOR_STORING: Duration = Duration::from_secs(30);

/// Time kept back for the answer. Later than that Lambda would kill the process.
const FOR_ANSWERING: Duration = Duration::from_secs(2);

/// Rotates the signing secret of one endpoint.
pub(crate) struct Rotator {
    secrets: Rotation,
    ledger: Ledger,
    /// The API key, read for every rotation.
    api_key: ApiKeySecret,
    /// The endpoint's id at OpenAI.
    endpoint: String,
    test_delivery: TestDelivery,
}

/// Result of a successful step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepResult {
    Done,
    /// An earlier attempt did it.
    DoneBefore,
    NothingToDo,
}

impl StepResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::DoneBefore => "done_before",
            Self::NothingToDo => "nothing_to_do",
        }
    }
}

impl Rotator {
    pub(crate) fn from_env(mut environment: Environment) -> Result<Self, EnvironmentError> {
        let config = Config::from_env(&mut environment);
        let ledger = Ledger::from_env(&mut environment, config.as_ref());
        let api_key = ApiKeySecret::from_env(&mut environment, config.as_ref());
        let test_delivery = environment.parsed("WEBHOOK_URL", TestDelivery::new);
        let endpoint = environment.required("ENDPOINT_ID");
        environment.finish(|| {
            let config = config?;
            Some(Self {
                secrets: Rotation::new(&config),
                ledger: ledger?,
                api_key: api_key?,
                endpoint: endpoint?,
                test_delivery: test_delivery?,
            })
        })
    }

    /// Does one step, and logs its result.
    pub(crate) async fn handle(&self, event: Value, deadline: Deadline) -> Result<(), RotationError> {
        let request = Request::read(event);
        let result = match &request {
            Some(request) => self.step(request, deadline).await,
            None => Err(RotationError::UnusableEvent),
        };
        let line = match &result {
            Ok(done) => Line::info("rotation step done").text("outcome", done.as_str()),
            Err(error) => {
                Line::error("rotation step failed").text("outcome", error.reason()).text("error", &error.to_string())
            }
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

    async fn step(&self, request: &Request, deadline: Deadline) -> Result<StepResult, RotationError> {
        let Request { step, secret, version } = request;
        let versions = self.secrets.versions(secret).await?;
        if !versions.rotated {
            return Err(RotationError::RotationOff);
        }
        if !versions.has(version) {
            return Err(RotationError::UnknownVersion);
        }
        if versions.is_at(version, Stage::Current) {
            return Ok(StepResult::DoneBefore);
        }
        if !versions.is_at(version, Stage::Pending) {
            return Err(RotationError::NotPending);
        }
        match step {
            Step::Create => self.create(secret, version, deadline).await,
            // OpenAI signs with a new secret as soon as it has given it out.
            Step::Set => Ok(StepResult::NothingToDo),
            Step::Test => self.test(secret, version, deadline).await,
            Step::Finish => self.finish(secret, version, &versions).await,
        }
    }

    /// Has OpenAI make a new secret and stores it. One attempt at a time, registrations included: of two secrets made
    /// side by side nobody could tell which is newer, and the older is valid for a day only.
    async fn create(&self, secret: &str, version: &str, deadline: Deadline) -> Result<StepResult, RotationError> {
        let lease = self.ledger.rotation_lease(secret, deadline.lease_until()).await?.ok_or(RotationError::Busy)?;
        let result = self.create_alone(secret, version, deadline).await;
        if let Err(error) = self.ledger.end_lease(&lease).await {
            tracing::warn!(%error, "the lease could not be released; the next attempt has to wait until it is over");
        }
        result
    }

    async fn create_alone(&self, secret: &str, version: &str, deadline: Deadline) -> Result<StepResult, RotationError> {
        if self.secrets.value(secret, version).await?.is_some() {
            return Ok(StepResult::DoneBefore);
        }
        // Everything that can fail comes before OpenAI makes a secret, since each one that gets lost ends an older one.
        let openai = self.api_key.client().await?;
        self.secrets.try_writing(secret).await.map_err(RotationError::NotWritable)?;
        let made = openai.rotate_webhook_secret(&self.endpoint, true, deadline.before(FOR_STORING)).await;
        let (_, made) = made.map_err(|error| match error.class() {
            ErrorClass::NotFound => RotationError::NoEndpoint(self.endpoint.clone()),
            _ => error.into(),
        })?;
        let put = async |version| self.secrets.put_pending(secret, version, made.expose()).await;
        match put(Some(version)).await.map_err(RotationError::NotStored)? {
            Put::Stored => Ok(StepResult::Done),
            // The value was not visible yet above. It cannot be changed, and this one is newer.
            Put::Taken => match put(None).await {
                Ok(_) => Err(RotationError::Superseded),
                Err(error) => Err(RotationError::NotStored(error)),
            },
        }
    }

    async fn test(&self, secret: &str, version: &str, deadline: Deadline) -> Result<StepResult, RotationError> {
        // When rotation is turned on, Secrets Manager may test a pending version that no createSecret has filled.
        let Some(pending) = self.secrets.value(secret, version).await? else { return Ok(StepResult::NothingToDo) };
        let key = hooks_webhook::Secret::parse(&pending.text).map_err(RotationError::Unusable)?;
        self.test_delivery.send(&key, version, deadline.before(FOR_ANSWERING)).await?;
        Ok(StepResult::Done)
    }

    async fn finish(&self, secret: &str, version: &str, versions: &Versions) -> Result<StepResult, RotationError> {
        let pending = self.secrets.value(secret, version).await?.ok_or(RotationError::NoValue)?;
        let current = versions.current();
        if let Some(current) = current
            && let Some(current) = self.secrets.value(secret, current).await?
            && current.created_at > pending.created_at
        {
            return Err(RotationError::Overtaken);
        }
        self.secrets.put_into_use(secret, version, current).await.map_err(RotationError::NotInUse)?;
        Ok(StepResult::Done)
    }
}
