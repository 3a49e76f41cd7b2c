//! Keeps the results of background responses: retrieves a response as soon as its event arrives, because OpenAI may
//! delete it ten minutes after its end, and stores its JSON.
//!
//! The status of the retrieved response decides, not the event type, so every `response.*` type is handled.

mod alert;
mod handler;

pub use handler::ResponseHandler;
