//! Why something could not be looked at.

/// Why something could not be looked at, in words that may be logged.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Fault {
    message: String,
    of_setup: bool,
}

impl Fault {
    /// Something went wrong. The invocation fails, and so is tried again.
    pub(crate) fn new(message: String) -> Self {
        Self { message, of_setup: false }
    }

    /// The stack is set up so that it cannot work: no key yet, or one that must not read this. That may be intended,
    /// and no retry changes it, so it is a warning.
    pub(crate) fn of_setup(message: String) -> Self {
        Self { message, of_setup: true }
    }

    pub(crate) fn is_of_setup(&self) -> bool {
        self.of_setup
    }
}

impl From<hooks_openai::OpenAiError> for Fault {
    fn from(error: hooks_openai::OpenAiError) -> Self {
        match error.status() {
            // A list that is not there is one that this account does not have.
            Some(403 | 404) => Self::of_setup(error.to_string()),
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<hooks_aws::ledger::LedgerError> for Fault {
    fn from(error: hooks_aws::ledger::LedgerError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<hooks_aws::queue::QueueError> for Fault {
    fn from(error: hooks_aws::queue::QueueError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<hooks_aws::outcomes::OutcomesError> for Fault {
    fn from(error: hooks_aws::outcomes::OutcomesError) -> Self {
        Self::new(error.to_string())
    }
}
