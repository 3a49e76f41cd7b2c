//! What a session remembers of its conversation, and refusals of client events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// The tool calls, and what the model says to the result of each.
    calls: BTreeMap<String, Option<String>>,
    /// The calls whose results have come.
    results: Vec<String>,
    /// What the model has to say to new results.
    unsaid: Vec<String>,
    /// Ids of items that clients have chosen.
    items: BTreeSet<String>,
    /// Realtime, without a turn detector: what the caller has said since the last commit.
    pub(super) heard: Option<String>,
}

impl Conversation {
    pub(super) fn call(&mut self, call_id: &str, then: Option<String>) {
        self.calls.insert(call_id.to_owned(), then);
    }

    /// Whether the result of this call has come, and a response to it was asked for.
    pub(super) fn is_answered(&self, call_id: &str) -> bool {
        self.unsaid.is_empty() && self.results.iter().any(|result| result == call_id)
    }

    /// Takes the id of an item, which no other one may have.
    pub(super) fn name(&mut self, id: &str) -> Result<(), Refused> {
        if self.items.insert(id.to_owned()) {
            return Ok(());
        }
        Err(Refused::new("item_already_exists", "item.id", "The conversation has an item with this id."))
    }

    /// Takes the result of a tool call.
    pub(super) fn take(&mut self, item: &Value) -> Result<(), Refused> {
        let call_id = item["call_id"].as_str().ok_or(Refused::missing("item.call_id"))?;
        if !item["output"].is_string() {
            return Err(Refused::missing("item.output"));
        }
        let Some(then) = self.calls.get(call_id) else {
            return Err(Refused::new("invalid_tool_call_id", "item.call_id", "No tool call has this id."));
        };
        self.unsaid.push(then.clone().unwrap_or_else(|| "I have the result.".to_owned()));
        self.results.push(call_id.to_owned());
        Ok(())
    }

    /// What the model says when it is asked for a response.
    pub(super) fn reply(&mut self) -> String {
        match std::mem::take(&mut self.unsaid) {
            said if said.is_empty() => "Hello, how can I help you?".to_owned(),
            said => said.join(" "),
        }
    }
}

/// A client event that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    code: &'static str,
    param: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(code: &'static str, param: &'static str, message: &str) -> Self {
        Self { code, param, message: message.to_owned() }
    }

    pub(super) fn missing(param: &'static str) -> Self {
        Self::new("missing_required_parameter", param, &format!("Missing required parameter: '{param}'."))
    }

    /// The error event; `member` is where the API puts the id of the client event.
    pub(super) fn event(&self, member: &str, id: &Value) -> Value {
        let Self { code, param, message } = self;
        let mut error = json!({"type": "invalid_request_error", "code": code, "message": message, "param": param});
        error[member] = id.clone();
        json!({"type": "error", "error": error})
    }
}
