//! How a session is supervised. The JSON of these types is that of the policy, so a session's settings can be handed on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::hours::Hours;

/// How a session that was accepted is supervised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supervise {
    /// What the model says first; `None`: it waits for the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// The team's own tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Tools that the supervisor has itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub built_in: Vec<BuiltIn>,
    /// The table of [`BuiltIn::LookUp`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookUp>,
    /// The targets of [`BuiltIn::Transfer`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// When the session is ended.
    pub limits: Limits,
}

impl Supervise {
    /// Whether the model gets tools.
    #[must_use]
    pub const fn has_tools(&self) -> bool {
        !self.tools.is_empty() || !self.built_in.is_empty()
    }
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments.
    #[serde(default = "no_parameters")]
    pub parameters: Map<String, Value>,
    /// What runs it.
    #[serde(flatten)]
    pub target: ToolTarget,
    /// Time that one attempt may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// Number of attempts after the first one. More than 0 is for tools that may run twice.
    #[serde(default)]
    pub retries: u32,
    /// What the model says while the tool is slow.
    #[serde(default = "default_while_slow")]
    pub while_slow: String,
}

impl Tool {
    /// A tool with the usual settings.
    #[must_use]
    pub fn new(name: String, target: ToolTarget) -> Self {
        Self {
            name,
            description: String::new(),
            parameters: no_parameters(),
            target,
            timeout_seconds: default_timeout(),
            retries: 0,
            while_slow: default_while_slow(),
        }
    }
}

/// What runs a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolTarget {
    /// The ARN of a Lambda function.
    Lambda(String),
    /// An HTTPS URL.
    Url(String),
}

/// A tool that the supervisor has itself. Its name for the model is that of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltIn {
    /// Ends the call.
    HangUp,
    /// Transfers the call to one of [`Transfer::targets`].
    Transfer,
    /// Collects digits that the caller dials.
    CollectDigits,
    /// Reads the item of a number in a table.
    LookUp,
    /// Leaves a note for people, as an alert.
    LeaveNote,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::HangUp, Self::Transfer, Self::CollectDigits, Self::LookUp, Self::LeaveNote];

    /// Its name in the policy, and for the model.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HangUp => "hang_up",
            Self::Transfer => "transfer",
            Self::CollectDigits => "collect_digits",
            Self::LookUp => "look_up",
            Self::LeaveNote => "leave_note",
        }
    }
}

/// The table of [`BuiltIn::LookUp`], which the supervisor may only read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUp {
    /// Name of a DynamoDB table.
    pub table: String,
    /// Name of its partition key, a string: the number.
    pub key: String,
}

/// Settings of [`BuiltIn::Transfer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The targets; the model chooses one by its name.
    pub targets: Vec<TransferTarget>,
    /// Time after which a session that has not ended was not transferred, in seconds.
    #[serde(default = "default_confirm")]
    pub confirm_seconds: u32,
    /// What happens when the transfer fails.
    #[serde(default)]
    pub fallback: Fallback,
}

/// A target of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferTarget {
    /// Name for the model.
    pub name: String,
    /// When to transfer to it, for the model.
    #[serde(default)]
    pub description: String,
    /// `tel:` or `sip:` URI.
    pub target_uri: String,
}

/// What happens when a transfer fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The model says this and goes on.
    Say(String),
    /// The call is transferred to this URI instead.
    Refer(String),
    /// The call is ended.
    HangUp,
}

impl Default for Fallback {
    fn default() -> Self {
        Self::Say("I could not put you through. How else can I help?".to_owned())
    }
}

/// When a session is ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Maximum duration in seconds.
    pub max_duration_seconds: u32,
    /// Time in which nobody speaks until the warning is spoken, in seconds; after the same time again the session is
    /// ended.
    pub idle_seconds: u32,
    /// The warning.
    pub idle_warning: String,
    /// Maximum cost in USD, from the usage that OpenAI reports; `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Working hours; the session is ended when they end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// What is said before the session is ended by a limit.
    pub farewell: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration_seconds: 3600,
            idle_seconds: 30,
            idle_warning: "Are you still there?".to_owned(),
            cost_usd: None,
            hours: None,
            farewell: "I have to end our call now. Goodbye.".to_owned(),
        }
    }
}

fn no_parameters() -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), "object".into()), ("properties".to_owned(), Map::new().into())])
}

const fn default_timeout() -> u32 {
    10
}

fn default_while_slow() -> String {
    "One moment, please.".to_owned()
}

pub(crate) const fn default_confirm() -> u32 {
    10
}
