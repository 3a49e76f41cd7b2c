//! Secrets Manager: the signing secrets with their rotation, and single secrets such as an API key.
//!
//! A function needs `secretsmanager:GetSecretValue` on the secrets it reads, and nothing else: stages are read one by
//! one, so no permission to list or describe versions is asked for. Only what rotates a secret needs more.

mod rotation;
mod signing;
mod store;
#[cfg(test)]
mod tests;

pub use rotation::{Put, Rotation, Versions};
pub use signing::{Live, PREVIOUS_LIFETIME, SigningSecret};
pub use store::{ReadError, Source, Stage, Store, Version, WriteError};

/// What a secret holds before anybody has set it: the template has to create it with some text.
pub const PLACEHOLDER: &str = "unset";
