//! Confirmations: which server event answers which client event.

use std::collections::VecDeque;

use super::command::Command;
use super::event::{EventKind, ServerEvent};
use hooks_webhook::CallApi;

/// How many commands wait for their confirmation at a time. Beyond it the oldest one is given up.
const MAX_AWAITED: usize = 256;

/// How a command's confirmation is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// By the command's id, which the server gives back (documented).
    Id,
    /// By the id of the item that it added, which the client chose (documented).
    Item,
    /// The next `session.updated`. Realtime gives no id back.
    Updated,
    /// The next response that ends as `cancelled`.
    Cancelled,
    /// The next event of this type.
    Next(&'static str),
    /// The next `output_audio_buffer.cleared`.
    OutputCleared,
    /// The next decision that is of no delegation and no trigger.
    Decision,
    /// The end of the session.
    Closed,
    /// Never: the API confirms it by no event, and refuses it by an error.
    Nothing,
}

impl By {
    pub(super) const fn of(api: CallApi, command: &Command) -> Self {
        match (api, command) {
            (CallApi::Live, Command::Add(_)) => Self::Nothing,
            (CallApi::Live, Command::Decide) => Self::Decision,
            (CallApi::Live, Command::Close) => Self::Closed,
            (CallApi::Realtime, Command::Update(_)) => Self::Updated,
            (CallApi::Realtime, Command::Instruct(_) | Command::Add(_)) => Self::Item,
            (CallApi::Realtime, Command::CancelResponse { .. }) => Self::Cancelled,
            (CallApi::Realtime, Command::CommitAudio) => Self::Next("input_audio_buffer.committed"),
            (CallApi::Realtime, Command::ClearAudio) => Self::Next("input_audio_buffer.cleared"),
            (CallApi::Realtime, Command::ClearOutput) => Self::OutputCleared,
            _ => Self::Id,
        }
    }

    fn is(self, id: &str, kind: &EventKind) -> bool {
        match (self, kind) {
            (Self::Item, EventKind::ItemAdded { item_id }) => item_id.as_deref() == Some(id),
            (Self::Updated, EventKind::Updated(_))
            | (Self::OutputCleared, EventKind::OutputCleared)
            | (Self::Closed, EventKind::Closed { .. })
            | (Self::Decision, EventKind::Decision { delegation_id: None, trigger_id: None, .. }) => true,
            (Self::Cancelled, EventKind::ResponseDone(done)) => done.status == "cancelled",
            (Self::Next(expected), EventKind::Acknowledged { name }) => name == expected,
            _ => false,
        }
    }
}

/// Commands whose confirmation has not come, oldest first.
#[derive(Debug, Default)]
pub(super) struct Awaited(VecDeque<(String, By)>);

impl Awaited {
    pub(super) fn push(&mut self, id: String, by: By) {
        if self.0.len() == MAX_AWAITED {
            self.0.pop_front();
        }
        self.0.push_back((id, by));
    }

    /// Finds the command that an event answers, and writes its id into the event.
    pub(super) fn settle(&mut self, event: &mut ServerEvent) {
        let found = match &event.answers {
            Some(id) => self.0.iter().position(|(awaited, _)| awaited == id),
            None => self.0.iter().position(|(id, by)| by.is(id, &event.kind)),
        };
        if let Some((id, _)) = found.and_then(|at| self.0.remove(at)) {
            event.answers = Some(id);
        }
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.0.retain(|(awaited, _)| awaited != id);
    }

    /// The ids of all commands that an event could have confirmed, and forgets them.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.0.drain(..).filter(|(_, by)| *by != By::Nothing).map(|(id, _)| id).collect()
    }
}
