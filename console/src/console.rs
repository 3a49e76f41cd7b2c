//! A stack as the console sees it, and the router of its pages.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::{Router, middleware};
use hooks_aws::Config;
use hooks_aws::artifacts::Artifacts;
use hooks_aws::ledger::Ledger;
use hooks_aws::secrets::Store;
use hooks_function::OpenAi;
use hooks_openai::Batch;
use hooks_webhook::Category;
use tokio::time::Instant;

use crate::Result;
use crate::http::gate::gate;
use crate::http::loopback::Loopback;
use crate::http::session::{Caller, Door, Role};
use crate::{api, pages};
use hooks_operate::dead_letters::DeadLetterQueue;
use hooks_operate::event_log::EventLog;
use hooks_operate::stack::{Stack, logical_id};

/// Time limit of a call to OpenAI: a page waits for it.
const OPENAI_TIMEOUT: Duration = Duration::from_secs(8);

/// Time for which an answer of OpenAI's about a batch is shown before it is asked again.
const BATCH_FRESH: Duration = Duration::from_secs(15);

/// Most batches whose answers are kept.
const MAX_BATCHES: usize = 200;

/// A stack, with access to it.
pub struct Console {
    pub(crate) stack: Stack,
    pub(crate) region: String,
    pub(crate) aws: Config,
    pub(crate) ledger: Ledger,
    pub(crate) log: EventLog,
    pub(crate) artifacts: Artifacts,
    pub(crate) secrets: Store,
    openai: OpenAi,
    /// OpenAI's last answers about batches.
    batches: Mutex<HashMap<String, (Instant, Arc<Batch>)>>,
    newest: tokio::sync::Mutex<Option<Newest>>,
}

/// The newest batches, and when they were asked for.
type Newest = (Instant, Arc<Vec<Arc<Batch>>>);

/// The console with its way in.
pub(crate) struct App {
    pub(crate) console: Console,
    pub(crate) door: Door,
}

impl Console {
    /// The console of a stack, with this access to AWS and to OpenAI.
    pub fn new(aws: &Config, stack: Stack, openai: OpenAi) -> Result<Self> {
        let ledger = Ledger::new(aws, stack.output("TableName")?);
        Ok(Self {
            region: aws.sdk().region().map(ToString::to_string).unwrap_or_default(),
            log: EventLog::new(ledger.clone()),
            artifacts: Artifacts::new(aws, stack.output("BucketName")?),
            secrets: Store::new(aws),
            aws: aws.clone(),
            ledger,
            stack,
            openai,
            batches: Mutex::default(),
            newest: tokio::sync::Mutex::default(),
        })
    }

    /// Name of the stack.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.stack.name
    }

    /// The router at this port of loopback, for the person `name`, and the token of the link that lets them in once.
    pub(crate) fn router(self, port: u16, name: &str, role: Role) -> Result<(Router, String)> {
        let (door, link) = Loopback::new(port, name, role)?;
        Ok((router(App { console: self, door: Door::Loopback(door) }), link))
    }

    /// The URL of a category's queue.
    pub(crate) fn queue_url(&self, category: Category) -> Result<&str> {
        self.stack.output(&format!("{}QueueUrl", logical_id(category)))
    }

    /// A category's queue with its dead-letter queue.
    pub(crate) fn queue(&self, category: Category) -> Result<DeadLetterQueue> {
        let dead = self.stack.output(&format!("{}DeadLetterQueueUrl", logical_id(category)))?;
        Ok(DeadLetterQueue::new(&self.aws, self.queue_url(category)?, dead))
    }

    /// OpenAI, with the key that is in use now.
    pub(crate) async fn openai(&self) -> Result<hooks_openai::Client> {
        Ok(self.openai.client().await?)
    }

    /// Deadline of a call to OpenAI that begins now.
    pub(crate) fn deadline() -> Instant {
        Instant::now() + OPENAI_TIMEOUT
    }

    /// A batch as OpenAI has it, asked at most every fifteen seconds.
    pub(crate) async fn batch(&self, id: &str) -> Result<Arc<Batch>> {
        let fresh = |known: &HashMap<String, (Instant, Arc<Batch>)>| {
            known.get(id).filter(|(at, _)| at.elapsed() < BATCH_FRESH).map(|(_, batch)| Arc::clone(batch))
        };
        if let Some(batch) = fresh(&self.batches.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(batch);
        }
        let batch = Arc::new(self.openai().await?.batch(id, Self::deadline()).await?);
        self.remember(&batch);
        Ok(batch)
    }

    /// OpenAI's newest batches, asked for at most every fifteen seconds.
    pub(crate) async fn newest_batches(&self, limit: u8) -> Result<Arc<Vec<Arc<Batch>>>> {
        let mut newest = self.newest.lock().await;
        if let Some((_, batches)) = newest.as_ref().filter(|(at, _)| at.elapsed() < BATCH_FRESH) {
            return Ok(Arc::clone(batches));
        }
        let page = self.openai().await?.batches(None, limit, Self::deadline()).await?;
        let batches: Arc<Vec<_>> = Arc::new(page.items.into_iter().map(Arc::new).collect());
        batches.iter().for_each(|batch| self.remember(batch));
        *newest = Some((Instant::now(), Arc::clone(&batches)));
        Ok(batches)
    }

    /// Keeps OpenAI's answer about a batch.
    pub(crate) fn remember(&self, batch: &Arc<Batch>) {
        let mut known = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_BATCHES {
            known.retain(|_, (at, _)| at.elapsed() < BATCH_FRESH);
        }
        if known.len() < MAX_BATCHES {
            known.insert(batch.id.clone(), (Instant::now(), Arc::clone(batch)));
        }
    }

    /// Forgets OpenAI's answer about a batch.
    pub(crate) async fn forget(&self, id: &str) {
        *self.newest.lock().await = None;
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// A command line that does the same, with the stack's name.
    pub(crate) fn command(&self, rest: impl Display) -> String {
        format!("openai-webhooks --stack {} {rest}", self.stack.name)
    }
}

impl App {
    /// The line that is kept of each sign-in and of each act.
    #[expect(clippy::unused_self, reason = "every audit line goes through this")]
    pub(crate) fn audit(&self, what: &str, caller: &Caller, path: &str) {
        let (who, role) = (&caller.name, caller.role.word());
        tracing::info!(%who, role, from = %caller.source, path, "console: {what}");
    }
}

/// The router of pages and API.
pub(crate) fn router(app: App) -> Router {
    let app = Arc::new(app);
    let router = Router::new().merge(pages::router()).merge(api::router());
    router.layer(middleware::from_fn_with_state(Arc::clone(&app), gate)).with_state(app)
}
