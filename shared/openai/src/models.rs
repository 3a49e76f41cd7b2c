//! Models, reduced to the fields that are used.

use serde_json::Value;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::text;

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Its name, such as `ft:gpt-4.1-mini:acme:support:B1`.
    pub id: String,
    /// The day from which on it answers no more, such as `2027-01-14`, if OpenAI has set one.
    pub shutdown_date: Option<String>,
}

impl Client {
    /// Retrieves a model: `GET /models/{id}`.
    pub async fn model(&self, id: &str, deadline: Instant) -> Result<Model, OpenAiError> {
        let path = ["models", id];
        self.get(Call::new("retrieve model", &path), deadline).await?.read("a model", |raw: Value| {
            Some(Model { id: text(&raw, "id")?, shutdown_date: text(&raw, "shutdown_date") })
        })
    }
}
