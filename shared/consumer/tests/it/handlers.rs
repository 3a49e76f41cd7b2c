//! Handlers that do what a test tells them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use hooks_consumer::{Alert, Context, Event, Handler, HandlerError, Outcome, Severity};
use serde_json::json;

use crate::world::millis;

type What = dyn Fn(Event, Context) -> BoxFuture<'static, Result<Outcome, HandlerError>> + Send + Sync;

/// A handler made of a closure, which counts its calls. Clones count together.
#[derive(Clone)]
pub(crate) struct Does {
    what: Arc<What>,
    calls: Arc<AtomicUsize>,
    alerted: Arc<AtomicUsize>,
}

impl Does {
    pub(crate) fn what<F, T>(what: F) -> Self
    where
        F: Fn(Event, Context) -> T + Send + Sync + 'static,
        T: Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
    {
        Self {
            what: Arc::new(move |event, context| what(event, context).boxed()),
            calls: Arc::default(),
            alerted: Arc::default(),
        }
    }

    /// Always the same result.
    pub(crate) fn always(result: &Result<Outcome, HandlerError>) -> Self {
        let result = result.clone();
        Self::what(move |event, _| {
            let result = result.clone().map(|outcome| Outcome { object_id: object(&event), ..outcome });
            async move { result }
        })
    }

    /// Succeeds, with an alert.
    pub(crate) fn well() -> Self {
        Self::always(&Ok(outcome("completed")))
    }

    /// Fails for now.
    pub(crate) fn not_now() -> Self {
        Self::always(&Err(HandlerError::retry("OpenAI is busy")))
    }

    /// Fails for good.
    pub(crate) fn never() -> Self {
        Self::always(&Err(HandlerError::permanent("quota_exhausted", "the account has no credit left")))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many alerts the topic has taken.
    pub(crate) fn alerted(&self) -> usize {
        self.alerted.load(Ordering::SeqCst)
    }
}

impl Handler for Does {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.what)(event.clone(), context.clone()).await
    }

    fn alerted(&self, _: &Alert) {
        self.alerted.fetch_add(1, Ordering::SeqCst);
    }
}

/// The id of what an event is about.
pub(crate) fn object(event: &Event) -> Option<String> {
    event.object_id().map(str::to_owned)
}

/// A final outcome with everything in it.
pub(crate) fn outcome(status: &str) -> Outcome {
    let mut outcome = Outcome::new(status, millis().cast_signed());
    outcome.terminal = true;
    outcome.counts.insert("lines".to_owned(), json!(1000));
    outcome.times.insert("completed_at".to_owned(), json!(1_795_300_000));
    outcome.summary.insert("tokens".to_owned(), json!({"gpt-6-luna": {"input": 12, "output": 34}}));
    outcome.artifacts.push("batch/batch_1/output.jsonl".to_owned());
    outcome.alert = Some(Alert {
        severity: Severity::Warning,
        subject: "Batch with failed lines".to_owned(),
        message: "12 of 1,000 lines failed".to_owned(),
    });
    outcome
}
