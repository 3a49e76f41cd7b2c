//! Requests of Secrets Manager.

use serde::Deserialize;
use serde_json::Value;

/// One step of one rotation. Other fields of the event are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    #[serde(rename = "Step")]
    pub(crate) step: Step,
    /// The secret's ARN.
    #[serde(rename = "SecretId")]
    pub(crate) secret: String,
    /// The id of the version that the rotation fills and puts into use.
    #[serde(rename = "ClientRequestToken")]
    pub(crate) version: String,
}

/// The four steps, in order. Secrets Manager's guide has both spellings.
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
    /// `None` for any other event. The parser's error is dropped, since it would quote the event.
    pub(crate) fn read(event: Value) -> Option<Self> {
        serde_json::from_value(event).ok()
    }
}
