//! How a command ends.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// What the ledger's commands need.
pub(crate) const LEDGER_PERMISSIONS: &str = "Your AWS identity needs dynamodb:GetItem, dynamodb:PutItem and dynamodb:Query on the stack's table and its indexes.";

/// What the commands about queues need.
pub(crate) const QUEUE_PERMISSIONS: &str = "Your AWS identity needs sqs:SendMessage on the stack's queues, and on its dead-letter queues sqs:ReceiveMessage, \
     sqs:ChangeMessageVisibility, sqs:DeleteMessage and sqs:GetQueueAttributes.";

/// How a command that ran has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, and where a question was asked, the answer is yes.
    Yes,
    /// 1: it ran, and the answer is no: a check failed, something is wrong, somebody declined.
    No,
}

impl Exit {
    /// `Yes` where it holds.
    pub(crate) const fn when(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
        })
    }
}

/// Why a command stopped: what went wrong, and what to do about it. Neither text has a secret in it.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// 1: what was asked for is not there, or is not as it must be.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self::with_code(1, message)
    }

    /// 2: what was given cannot be worked with.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::with_code(2, message)
    }

    /// 3: AWS or OpenAI could not be reached, or refused.
    pub(crate) fn remote(message: impl Into<String>) -> Self {
        Self::with_code(3, message)
    }

    /// The same with what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The code that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {}

impl From<hooks_openai::OpenAiError> for Failure {
    fn from(error: hooks_openai::OpenAiError) -> Self {
        let failure = match error.class() {
            hooks_openai::ErrorClass::NotFound => Self::no(error.to_string()),
            // It was not even asked: no id looks like this.
            hooks_openai::ErrorClass::Permanent if error.status().is_none() => Self::usage(error.to_string()),
            _ => Self::remote(error.to_string()),
        };
        match (error.class(), error.status()) {
            (hooks_openai::ErrorClass::Unauthorized, Some(401)) => {
                failure.hint("Is the API key right? `openai-webhooks doctor` checks it.")
            }
            (hooks_openai::ErrorClass::Unauthorized, _) => failure
                .hint("Give the key this permission, or use another key, at https://platform.openai.com/api-keys."),
            (hooks_openai::ErrorClass::NotFound, _) => {
                failure.hint("It does not exist, or belongs to another project than the API key.")
            }
            (hooks_openai::ErrorClass::Retry, _) => failure.hint("Try again in a moment."),
            (hooks_openai::ErrorClass::QuotaExhausted, _) => failure.hint("The account has no credit left."),
            (hooks_openai::ErrorClass::Permanent, _) => failure,
        }
    }
}

impl From<hooks_aws::secrets::ReadError> for Failure {
    fn from(error: hooks_aws::secrets::ReadError) -> Self {
        Self::remote(format!("cannot read the secret: {error}"))
            .hint("Your AWS identity needs secretsmanager:GetSecretValue on the stack's secrets.")
    }
}

impl From<hooks_aws::secrets::WriteError> for Failure {
    fn from(error: hooks_aws::secrets::WriteError) -> Self {
        Self::remote(format!("cannot store the secret: {error}"))
            .hint("Your AWS identity needs secretsmanager:PutSecretValue on the stack's secrets.")
    }
}

impl From<hooks_aws::ledger::LedgerError> for Failure {
    fn from(error: hooks_aws::ledger::LedgerError) -> Self {
        Self::remote(error.to_string()).hint(LEDGER_PERMISSIONS)
    }
}

impl From<hooks_aws::queue::QueueError> for Failure {
    fn from(error: hooks_aws::queue::QueueError) -> Self {
        Self::remote(error.to_string()).hint(QUEUE_PERMISSIONS)
    }
}
