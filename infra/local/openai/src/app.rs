//! Everything the stand-in knows, shared by all handlers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::access::Keys;
use crate::agents::Agents;
use crate::batches::Batches;
use crate::calls::Calls;
use crate::evals::Evals;
use crate::faults::Faults;
use crate::files::Files;
use crate::fine_tuning::Jobs;
use crate::requests::RequestLog;
use crate::responses::Responses;
use crate::safety::Safety;
use crate::webhooks::Webhooks;

pub(crate) type Shared = Arc<App>;

pub(crate) struct App {
    pub(crate) keys: Keys,
    pub(crate) requests: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) files: Files,
    pub(crate) batches: Batches,
    pub(crate) calls: Calls,
    pub(crate) responses: Responses,
    pub(crate) fine_tuning: Jobs,
    pub(crate) evals: Evals,
    pub(crate) agents: Agents,
    pub(crate) safety: Safety,
    pub(crate) webhooks: Arc<Webhooks>,
}

impl App {
    pub(crate) fn new(api_key: String, retry_factor: f64) -> Self {
        Self {
            keys: Keys::new(api_key),
            requests: RequestLog::default(),
            faults: Faults::default(),
            files: Files::default(),
            batches: Batches::default(),
            calls: Calls::default(),
            responses: Responses::default(),
            fine_tuning: Jobs::default(),
            evals: Evals::default(),
            agents: Agents::default(),
            safety: Safety::default(),
            webhooks: Arc::new(Webhooks::new(retry_factor)),
        }
    }
}

/// Locks, whatever happened to an earlier holder: state here is only ever replaced in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
