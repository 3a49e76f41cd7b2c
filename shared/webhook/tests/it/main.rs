//! The signature check against its corpus, against another implementation, and against a model of itself; the
//! events against samples of every type.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod axum_example;
mod conformance;
mod corpus;
mod events;
mod model;
mod properties;
mod requests;
mod standardwebhooks_crate;
