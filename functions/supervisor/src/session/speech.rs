//! What the supervisor has the model say.

use std::time::Duration;

use hooks_openai::{CallApi, Command, SidebandError};
use tokio::time::Instant;

use super::live::Live;

/// Time after which a caller hears that a tool is slow.
pub(super) const SLOW: Duration = Duration::from_millis(1_500);

/// Time in which OpenAI confirms a command.
pub(super) const CONFIRM_TIME: Duration = Duration::from_secs(2);

/// Longest text that is said, in bytes. Live takes 500 tokens.
const MAX_TEXT: usize = 1500;

impl Live<'_> {
    /// Has the model say this, as soon as it has finished what it says now.
    pub(super) fn say(&mut self, text: &str) {
        self.to_say.push_back(text[..text.floor_char_boundary(MAX_TEXT)].to_owned());
    }

    /// Says what waits, and asks for a response that waits. A Realtime session takes one response at a time.
    pub(super) async fn speak(&mut self) {
        while self.has_lease() && !self.must_wait() {
            let command = match self.to_say.front() {
                Some(text) => Command::Say(text.clone().into()),
                None if self.respond => Command::Respond,
                None => return,
            };
            self.response_active |= self.start.api == CallApi::Realtime;
            match self.sideband.send(command).await {
                Ok(_) => {}
                Err(error @ SidebandError::Disconnected(_)) => {
                    tracing::warn!("{error}; it is said over the next connection");
                    return;
                }
                Err(error) => tracing::warn!("{error}"),
            }
            if self.to_say.pop_front().is_none() {
                self.respond = false;
            }
        }
    }

    fn must_wait(&self) -> bool {
        self.start.api == CallApi::Realtime && self.response_active
    }

    /// Adds an instruction that is not spoken.
    pub(super) async fn instruct(&mut self, text: &str) {
        if let Err(error) = self.sideband.send(Command::Instruct(text.into())).await {
            tracing::warn!("{error}");
        }
    }

    /// Tells the caller that a tool is slow, once for all that run.
    pub(super) fn tell_to_wait(&mut self) {
        if let Some((_, text)) = self.wait_message.take()
            && !self.outstanding.is_empty()
        {
            self.say(&text);
        }
    }

    /// Sends a command and waits until OpenAI has confirmed or refused it.
    pub(super) async fn request(&mut self, command: Command) -> Result<(), SidebandError> {
        self.sideband.request(command, CONFIRM_TIME).await.map(drop)
    }

    /// Lets the caller hear, in a moment, that a tool is slow.
    pub(super) fn expect_to_wait(&mut self, words: &str) {
        if self.wait_message.is_none() {
            self.wait_message = Some((Instant::now() + SLOW, words.to_owned()));
        }
    }
}
