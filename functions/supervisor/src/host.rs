//! The host of supervisors: a Lambda function with one session per invocation, or a container with many.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use hooks_aws::alerts::Alerts;
use hooks_aws::artifacts::Artifacts;
use hooks_aws::functions::Functions;
use hooks_aws::ledger::Ledger;
use hooks_aws::outcomes::Outcomes;
use hooks_aws::queue::QueueSender;
use hooks_aws::secrets::Store;
use hooks_aws::{AwsError, Config};
use hooks_function::{ApiKeySecret, Deadline, Environment, EnvironmentError, OpenAi};
use hooks_openai::{CallApi, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::session::{Leave, Services, Shift, supervise};
use crate::tools::{Signer, Tools};
use crate::watchdog::{Look, WatchMessage, look};

/// Time before the invocation's end at which a successor is started.
const HAND_OVER_TIME: Duration = Duration::from_secs(90);

/// Time before the invocation's end at which the session is left in any case.
const LEAVE_TIME: Duration = Duration::from_secs(10);

/// Time for which a message is hidden that could not be looked after.
const RETRY: Duration = Duration::from_secs(5);

/// Time for which a message is hidden before it is looked at: it comes back then if the process dies.
const LOOKING: Duration = Duration::from_secs(15);

/// Time that a container has to hand its sessions over. Fargate kills it after 120 seconds, of which receiving takes 20.
pub(crate) const STOP_TIME: Duration = Duration::from_secs(90);

/// Pause after the queue could not be read.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);

/// A supervisor that is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) api: CallApi,
    pub(crate) id: String,
    pub(crate) generation: u32,
    /// Whether OpenAI has certainly answered that the call is accepted.
    pub(crate) accepted: bool,
}

/// The event that starts a supervisor.
#[derive(Debug, Deserialize)]
struct StartEvent {
    api: String,
    id: String,
    generation: u32,
    accepted: bool,
}

/// The way to start a supervisor.
#[derive(Clone)]
pub(crate) enum Starter {
    /// Another invocation of this function.
    Function { functions: Box<Functions>, name: String },
    /// Another task of this process; of another process through the queue.
    Here { starts: mpsc::UnboundedSender<Start>, queue: QueueSender, queue_url: String },
}

impl Starter {
    /// Starts a supervisor.
    pub(crate) async fn start(&self, start: &Start) -> Result<(), AwsError> {
        match self {
            Self::Function { functions, name } => functions.start(name, &start.event()).await,
            Self::Here { starts, .. } => {
                // The receiver lives as long as the process.
                let _ = starts.send(start.clone());
                Ok(())
            }
        }
    }

    /// Starts the successor of a supervisor whose process ends.
    pub(crate) async fn hand_over(&self, start: &Start) -> Result<(), AwsError> {
        match self {
            Self::Function { .. } => self.start(start).await,
            Self::Here { queue, queue_url, .. } => queue.send_text(queue_url, &start.event(), Duration::ZERO).await,
        }
    }
}

impl Start {
    fn event(&self) -> String {
        let Self { api, id, generation, accepted } = self;
        json!({"api": api.as_str(), "id": id, "generation": generation, "accepted": accepted}).to_string()
    }
}

impl StartEvent {
    fn start(self) -> Result<Start, &'static str> {
        let api = api_of(&self.api).ok_or("the event's api is neither realtime nor live")?;
        Ok(Start { api, id: self.id, generation: self.generation, accepted: self.accepted })
    }
}

/// The host.
pub struct Host {
    services: Services,
    queue: QueueSender,
    queue_url: String,
    starts: Option<mpsc::UnboundedReceiver<Start>>,
}

impl Host {
    /// From the environment. `AWS_LAMBDA_FUNCTION_NAME` tells the function from the container, which may have its credentials
    /// from its host.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the environment, by name.
    pub fn new(mut environment: Environment) -> Result<Self, EnvironmentError> {
        let of_container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        let config = if of_container.into_iter().any(|name| environment.optional(name).is_some()) {
            Config::from_container(&mut environment)
        } else {
            Config::from_env(&mut environment)
        };
        let client = environment.parsed("OPENAI_BASE_URL", Client::without_key);
        Self::over(config, client, environment)
    }

    /// Over these ways to AWS and to OpenAI, with the rest from the environment.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn over(
        config: Option<Config>,
        client: Option<Client>,
        mut environment: Environment,
    ) -> Result<Self, EnvironmentError> {
        let openai = ApiKeySecret::with_client(client, &mut environment, config.as_ref()).map(OpenAi::from);
        let ledger = Ledger::from_env(&mut environment, config.as_ref());
        let bucket = environment.required("BUCKET_NAME");
        let bus = environment.required("BUS_NAME");
        let topic = environment.required("ALERTS_TOPIC_ARN");
        let queue_url = environment.required("QUEUE_URL");
        let secret = environment.optional("TOOL_SECRET");
        let function = environment.optional("AWS_LAMBDA_FUNCTION_NAME");
        let http = hooks_openai::http_client();
        if let Err(error) = &http {
            environment.fault("OPENAI_BASE_URL", &format!("cannot be called: {error}"));
        }
        environment.finish(|| {
            let config = config?;
            let ledger = ledger?;
            let outcomes = Outcomes::new(&config, bus?, topic?);
            let alerts = Alerts::new(ledger.clone(), outcomes.clone());
            let functions = Functions::new(&config);
            let (queue, queue_url) = (QueueSender::new(&config), queue_url?);
            let (starter, starts) = if let Some(name) = function {
                (Starter::Function { functions: Box::new(functions.clone()), name }, None)
            } else {
                let (sender, starts) = mpsc::unbounded_channel();
                let (queue, queue_url) = (queue.clone(), queue_url.clone());
                (Starter::Here { starts: sender, queue, queue_url }, Some(starts))
            };
            let signer = Arc::new(Signer::new(Store::new(&config), secret));
            let tools = Tools { functions, http: http.ok()?, ledger: ledger.clone(), alerts: alerts.clone(), signer };
            let artifacts = Artifacts::new(&config, &bucket?);
            let services = Services { ledger, alerts, outcomes, artifacts, openai: openai?, tools, starter };
            Some(Self { services, queue, queue_url, starts })
        })
    }

    /// Whether it is a container.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.starts.is_some()
    }

    /// Reads the API key ahead of the first session.
    pub async fn warm_up(&self) {
        // A failure shows again when a session comes.
        let _ = self.services.openai.client().await;
    }

    /// Handles an invocation: a supervisor is to be started, or the watchdog's messages have come.
    ///
    /// # Errors
    ///
    /// The event is neither, or the ledger is out of reach. The watchdog starts another supervisor then.
    pub async fn handle(&self, event: Value, deadline: Deadline) -> Result<Value, hooks_function::Error> {
        if event.get("Records").is_some() {
            let batch: SqsEvent = serde_json::from_value(event)?;
            return Ok(serde_json::to_value(self.watch(batch).await)?);
        }
        let start = serde_json::from_value::<StartEvent>(event)?.start()?;
        let (_never, stop) = watch::channel(false);
        let shift = Shift {
            hand_over_at: Some(deadline.before(HAND_OVER_TIME)),
            leave_at: Some(deadline.before(LEAVE_TIME)),
            stop,
        };
        let left = self.supervise(&start, shift).await?;
        Ok(json!({"left": format!("{left:?}")}))
    }

    async fn supervise(&self, start: &Start, shift: Shift) -> Result<Leave, AwsError> {
        let began = Instant::now();
        let left = Box::pin(supervise(&self.services, start, shift)).await;
        let seconds = began.elapsed().as_secs();
        let (session, api, generation) = (&start.id, start.api.as_str(), start.generation);
        match &left {
            Ok(left) => {
                tracing::info!(session, api, generation, seconds, "the supervisor has left its session: {left:?}");
            }
            Err(error) => {
                tracing::error!(session, api, generation, seconds, "{error}; the watchdog starts another one");
            }
        }
        left
    }

    async fn watch(&self, batch: SqsEvent) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for record in batch.records {
            if !self.watch_one(&record).await {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = record.message_id.unwrap_or_default();
                response.batch_item_failures.push(failure);
            }
        }
        response
    }

    /// Looks after a message. `true`: it is not needed any more.
    async fn watch_one(&self, record: &SqsMessage) -> bool {
        let (Some(body), Some(handle)) = (record.body.as_deref(), record.receipt_handle.as_deref()) else {
            return true;
        };
        self.look_after(body, handle).await
    }

    async fn look_after(&self, body: &str, handle: &str) -> bool {
        // The queue's own time is as long as a whole invocation.
        self.hide(handle, LOOKING).await;
        if let Ok(Ok(start)) = serde_json::from_str::<StartEvent>(body).map(StartEvent::start) {
            return match self.services.starter.start(&start).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::error!(session = start.id, "{error}; it is tried again");
                    self.hide(handle, RETRY).await;
                    false
                }
            };
        }
        let Ok(message) = serde_json::from_str::<WatchMessage>(body) else {
            tracing::error!("a message of the supervisors' queue cannot be read; it is dropped");
            return true;
        };
        match look(&self.services, &message).await {
            Ok(Look::Done) => true,
            Ok(Look::Again(after)) => {
                self.hide(handle, after.max(Duration::from_secs(1))).await;
                false
            }
            Err(error) => {
                tracing::error!(session = message.id, "{error}; it is tried again");
                self.hide(handle, RETRY).await;
                false
            }
        }
    }

    async fn hide(&self, handle: &str, time: Duration) {
        if let Err(error) = self.queue.hide(&self.queue_url, handle, time).await {
            tracing::warn!("{error}; it comes back after the queue's visibility timeout");
        }
    }

    /// Runs as a container until `stop` becomes true. The sessions are then handed over.
    pub async fn serve(mut self, stop: watch::Receiver<bool>) {
        let Some(mut starts) = self.starts.take() else { return };
        let host = Arc::new(self);
        // A task of its own: what is being received must not be dropped.
        let mut receiving = tokio::spawn({
            let (host, stop) = (Arc::clone(&host), stop.clone());
            async move {
                while !*stop.borrow() {
                    host.receive().await;
                }
            }
        });
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                Some(start) = starts.recv() => {
                    let (host, stop) = (Arc::clone(&host), stop.clone());
                    sessions.spawn(async move {
                        let shift = Shift { hand_over_at: None, leave_at: None, stop };
                        let _ = Box::pin(host.supervise(&start, shift)).await;
                    });
                }
                Some(_) = sessions.join_next() => {}
                _ = &mut receiving => break,
            }
        }
        tracing::info!(sessions = sessions.len(), "the container stops; its sessions are handed over");
        let all = async { while sessions.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP_TIME, all).await;
    }

    /// Receives messages, which start supervisors here.
    async fn receive(&self) {
        match self.queue.receive(&self.queue_url).await {
            Ok(messages) => {
                for (body, handle) in messages {
                    if self.look_after(&body, &handle).await
                        && let Err(error) = self.queue.delete(&self.queue_url, &handle).await
                    {
                        tracing::warn!("{error}; it comes again");
                    }
                }
            }
            Err(error) => {
                tracing::error!("{error}; it is tried again");
                sleep(QUEUE_PAUSE).await;
            }
        }
    }
}

/// The API of this name.
pub(crate) fn api_of(name: &str) -> Option<CallApi> {
    [CallApi::Live, CallApi::Realtime].into_iter().find(|api| api.as_str() == name)
}
