//! Answers phone calls that wait for OpenAI's Realtime or Live API: accepts, rejects or refers each call by the policy in
//! Systems Manager or S3.
//!
//! The caller waits meanwhile. So the policy and the API key are fetched in advance, and a call that has waited for too
//! long is not answered any more. See `docs/calls.md`.

mod alert;
mod answer;
#[cfg(test)]
mod fake_services;
mod handler;
mod outcome;
mod policy_source;
mod supervise;

pub use handler::CallHandler;
