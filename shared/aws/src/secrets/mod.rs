//! Secrets Manager: the signing secrets with their rotation, and single secrets such as an API key.
//!
//! A function needs `secretsmanager:GetSecretValue` on the secrets it reads, and nothing else: stages are read one by
//! one, so no permission to list or describe versions is asked for. Only what rotates a secret needs more.

mod rotation;
mod store;

pub use rotation::{Put, Rotation, Versions};
pub use store::{ReadError, Source, Stage, Store, Version, WriteError};

/// The text of a secret that is not set yet: the template has to create it with some text.
pub const PLACEHOLDER: &str = "unset";

/// Seconds for which `AWSPREVIOUS` of a signing secret is accepted after `AWSCURRENT` was made.
pub const PREVIOUS_LIFETIME: u64 = 24 * 60 * 60;
