//! Everything the stand-in knows, shared by all handlers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batches::Batches;
use crate::faults::Faults;
use crate::files::Files;
use crate::requests::RequestLog;
use crate::responses::Responses;
use crate::webhooks::Webhooks;

pub(crate) type Shared = Arc<App>;

pub(crate) struct App {
    pub(crate) api_key: String,
    pub(crate) requests: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) files: Files,
    pub(crate) batches: Batches,
    pub(crate) responses: Responses,
    pub(crate) webhooks: Arc<Webhooks>,
}

impl App {
    pub(crate) fn new(api_key: String, retry_factor: f64) -> Self {
        Self {
            api_key,
            requests: RequestLog::default(),
            faults: Faults::default(),
            files: Files::default(),
            batches: Batches::default(),
            responses: Responses::default(),
            webhooks: Arc::new(Webhooks::new(retry_factor)),
        }
    }
}

/// Locks, whatever happened to an earlier holder: state here is only ever replaced in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
