//! What Secrets Manager asks for.

use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// One step of one rotation. Whatever else the event has is not looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    #[serde(rename = "Step")]
    pub(crate) step: Step,
    /// The secret's ARN.
    #[serde(rename = "SecretId")]
    pub(crate) secret: String,
    /// The id of the version that the rotation is to fill and to put into use.
    #[serde(rename = "ClientRequestToken")]
    pub(crate) version: String,
}

/// The four steps, in their order. Secrets Manager's guide spells them in both ways.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Step {
    #[serde(rename = "createSecret", alias = "create_secret")]
    Create,
    #[serde(rename = "setSecret", alias = "set_secret")]
    Set,
    #[serde(rename = "testSecret", alias = "test_secret")]
    Test,
    #[serde(rename = "finishSecret", alias = "finish_secret")]
    Finish,
}

impl Step {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
        }
    }
}

impl Request {
    pub(crate) fn read(event: Value) -> Result<Self, Failure> {
        serde_json::from_value(event).map_err(|_| Failure::UnusableEvent)
    }
}
