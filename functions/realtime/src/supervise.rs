//! The start of a session's supervisor.
//!
//! The session is recorded and its watchdog sent off before the call is accepted, so that an accepted call is never without
//! a supervisor for long, whatever dies in between. The supervisor itself is started as soon as OpenAI has accepted.

use std::time::Duration;

use hooks_aws::functions::Functions;
use hooks_aws::ledger::{Ledger, NewSession, RETENTION_DAYS};
use hooks_aws::queue::QueueSender;
use hooks_aws::supervisors::{self, FIRST_LOOK};
use hooks_consumer::{Context, HandlerError, Setup};
use hooks_openai::CallApi;
use hooks_policy::{BuiltIn, Supervise};
use serde_json::{Map, Value, json};

/// The way to supervisors.
pub(crate) struct Supervisors {
    pub(crate) ledger: Ledger,
    pub(crate) queue: QueueSender,
    pub(crate) queue_url: String,
    pub(crate) functions: Functions,
    /// Name of the function; `None` where containers take the starts from the queue.
    pub(crate) function: Option<String>,
}

/// A session that is to be supervised.
pub(crate) struct Session<'a> {
    pub(crate) api: CallApi,
    pub(crate) id: &'a str,
    pub(crate) settings: &'a Supervise,
    /// Facts for people.
    pub(crate) facts: Map<String, Value>,
    /// Caller's number.
    pub(crate) caller: Option<&'a str>,
}

impl Supervisors {
    /// From `TABLE_NAME`, `SUPERVISOR_QUEUE_URL` and `SUPERVISOR_FUNCTION`.
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let queue_url = setup.environment().required("SUPERVISOR_QUEUE_URL");
        let function = setup.environment().optional("SUPERVISOR_FUNCTION");
        // Without a table the harness has noted the fault.
        let table = setup.environment().optional("TABLE_NAME")?;
        let days = setup.environment().optional("EVENT_RETENTION_DAYS").and_then(|days| days.parse().ok());
        let config = setup.config()?;
        Some(Self {
            ledger: Ledger::new(config, table).keeping(days.unwrap_or(RETENTION_DAYS)),
            queue: QueueSender::new(config),
            queue_url: queue_url?,
            functions: Functions::new(config),
            function,
        })
    }

    /// Records a session and sends its watchdog off. To be done before the call is accepted.
    pub(crate) async fn prepare(&self, session: &Session<'_>, context: &Context) -> Result<(), HandlerError> {
        let Session { api, id, settings, facts, caller } = session;
        let new = NewSession {
            api: api.as_str(),
            id,
            settings: &json!(settings).to_string(),
            event: context.event_key(),
            facts,
            // Only a tool needs it.
            caller: caller.filter(|_| settings.built_in.contains(&BuiltIn::LookUp)),
        };
        let is_new = self.ledger.open_session(&new).await?;
        // A process that died may have recorded the session and not have sent this.
        if is_new || context.attempt > 1 {
            let message = supervisors::watchdog(api.as_str(), id);
            self.queue.send_text(&self.queue_url, &message, FIRST_LOOK).await?;
        }
        Ok(())
    }

    /// Starts the supervisor. If that fails, the watchdog starts it.
    pub(crate) async fn start(&self, api: CallApi, id: &str) {
        let event = supervisors::first_start(api.as_str(), id);
        let started = match &self.function {
            Some(function) => self.functions.start(function, &event).await,
            None => self.queue.send_text(&self.queue_url, &event, Duration::ZERO).await,
        };
        if let Err(error) = started {
            tracing::error!("{error}; the watchdog starts it");
        }
    }

    /// Ends the record of a session that was not accepted.
    pub(crate) async fn drop(&self, api: CallApi, id: &str) {
        if let Err(error) = self.ledger.drop_session(api.as_str(), id, "not_accepted").await {
            tracing::warn!("{error}; the watchdog finds that there is no session");
        }
    }
}
