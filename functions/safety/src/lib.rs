//! Alerts people to OpenAI's safety notices: retrieves and stores the object of a notice, and sends an alert, even when
//! the object cannot be retrieved.
//!
//! Safety identifiers stand for the users of the team's application. They are in alerts and outcomes, where people and
//! programs need them to act, and never in a log.

mod alert;
mod handler;
mod lookup;
mod notice;

pub use handler::SafetyHandler;
