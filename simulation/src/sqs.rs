//! SQS: a queue with visibility timeouts and receive counts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<String, String>;

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) body: String,
    pub(crate) attributes: Attributes,
    pub(crate) receives: u32,
    pub(crate) visible_at: Instant,
}

impl Message {
    /// The event that it carries, as the ledger names it.
    pub(crate) fn event(&self) -> String {
        event(&self.attributes)
    }

    /// The receipt handle of its latest receive.
    fn handle(&self) -> String {
        format!("{}/{}", self.id, self.receives)
    }

    /// A record in the shape of Lambda's events.
    pub(crate) fn record(&self) -> Value {
        let attributes = self.attributes.iter();
        let attributes =
            attributes.map(|(name, text)| (name.clone(), json!({"stringValue": text, "dataType": "String"})));
        json!({
            "messageId": self.id.to_string(),
            "receiptHandle": self.handle(),
            "body": self.body,
            "attributes": {"ApproximateReceiveCount": self.receives.to_string()},
            "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
            "eventSource": "aws:sqs",
        })
    }
}

/// The event with these attributes, as the ledger names it.
pub(crate) fn event(attributes: &Attributes) -> String {
    let attribute = |name: &str| attributes.get(name).map_or("", String::as_str);
    format!("{}#{}", attribute("endpoint"), attribute("webhook-id"))
}

/// A queue.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) messages: Vec<Message>,
}

impl Queue {
    pub(crate) fn send(&mut self, id: u64, body: String, attributes: Attributes) {
        self.messages.push(Message { id, body, attributes, receives: 0, visible_at: Instant::now() });
    }

    /// When the next message can be received.
    pub(crate) fn next_visible(&self) -> Option<Instant> {
        self.messages.iter().map(|message| message.visible_at).min()
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.messages.iter().any(|message| message.event() == event)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Message> {
        let position = self.messages.iter().position(|message| message.id == id)?;
        Some(self.messages.remove(position))
    }

    /// Hides a message for this time from now. `false`: it is gone, or was received again since.
    pub(crate) fn change_visibility(&mut self, handle: &str, time: Duration) -> bool {
        let found = self.messages.iter_mut().find(|message| message.handle() == handle);
        found.map(|message| message.visible_at = Instant::now() + time).is_some()
    }
}
