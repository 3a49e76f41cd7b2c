//! The signature check against its corpus, against another implementation, and against a model of itself.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod corpus;
mod model;
mod properties;
mod standardwebhooks_crate;
