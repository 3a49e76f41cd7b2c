//! Answers phone calls that wait for OpenAI's Realtime or Live API: accepts, rejects or refers each one by the policy,
//! which is looked up in Systems Manager or in S3.
//!
//! A caller waits meanwhile, so everything that can be fetched ahead is, and a call that has waited for too long is not
//! answered any more. See `docs/calls.md`.

mod alert;
mod answer;
mod call;
mod handler;
#[cfg(test)]
mod loopback;
mod outcome;
mod policy;

use handler::Calls;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Realtime, Calls::from_setup).await
}
