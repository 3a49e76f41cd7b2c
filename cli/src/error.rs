//! How a command ends: its exit code, or an error.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use hooks_operate::batch_input::InputErrors;
use hooks_operate::{ErrorKind, OperateError};
use serde_json::{Value, json};

use crate::hints;

pub(crate) use hooks_operate::error::KEY_FIX;

/// A command's result: the exit code of a command that ran, or any other value of a step.
pub(crate) type Result<T = Exit> = std::result::Result<T, CliError>;

/// Exit code of a command that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done; the answer is yes.
    Success,
    /// 1: done; the answer is no, because a check failed or a person declined.
    Failure,
}

impl Exit {
    /// `Success` if the condition holds.
    pub(crate) const fn success_if(condition: bool) -> Self {
        if condition { Self::Success } else { Self::Failure }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(u8::from(exit == Exit::Failure))
    }
}

/// Why a command stopped, with the next step. Neither text contains a secret.
#[derive(Debug)]
pub(crate) struct CliError {
    code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// What is wrong with the lines of an input file.
    lines: Option<InputErrors>,
}

impl CliError {
    /// Exit code 1: something is missing, or is not in the expected state.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), hint: None, lines: None }
    }

    /// Exit code 2: arguments or input are not usable.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(message) }
    }

    /// Exit code 3: AWS or OpenAI did not answer, or refused.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self { code: 3, ..Self::failed(message) }
    }

    /// Adds the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what is wrong with the lines of an input file.
    #[must_use]
    pub(crate) fn lines(mut self, lines: InputErrors) -> Self {
        self.lines = Some(lines);
        self
    }

    /// The error as JSON.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({ "error": self.message, "hint": self.hint });
        if let Some(InputErrors { shown, count }) = &self.lines {
            document["lines"] = json!(shown);
            document["count"] = json!(count);
        }
        hints::complete_json(&mut document);
        document
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(lines) = &self.lines {
            write!(f, ":\n{}", lines.to_string().trim_end())?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  {hint}"))
    }
}

impl Error for CliError {}

impl From<OperateError> for CliError {
    fn from(error: OperateError) -> Self {
        let OperateError { kind, message, hint } = error;
        let code = match kind {
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
            ErrorKind::Service => 3,
        };
        Self { code, message, hint, lines: None }
    }
}

/// Errors of AWS and OpenAI, with the next step that the operations give.
macro_rules! as_operate_errors {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                OperateError::from(error).into()
            }
        })+
    };
}

as_operate_errors! {
    hooks_aws::AwsError,
    hooks_aws::artifacts::ArtifactError,
    hooks_aws::secrets::ReadError,
    hooks_aws::secrets::WriteError,
    hooks_function::ApiKeySecretError,
    hooks_openai::OpenAiError,
}
