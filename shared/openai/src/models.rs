//! Models, reduced to their end.

use bytes::Bytes;
use hooks_webhook::Json;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::text;

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Its name, such as `gpt-4.1-mini` or `ft:gpt-4.1-mini:acme:support:B1`.
    pub id: String,
    /// The day on which OpenAI ends it, if that is known: `2027-01-14`.
    pub shutdown_date: Option<String>,
}

impl Client {
    /// Retrieves a model: `GET /models/{id}`.
    pub async fn model(&self, id: &str, deadline: Instant) -> Result<Model, OpenAiError> {
        let path = ["models", id];
        self.get(Call::new("retrieve model", &path), deadline).await?.read("a model", Model::from_json)
    }
}

impl Model {
    /// `None` without an id.
    #[expect(clippy::needless_pass_by_value, reason = "as of every object")]
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self { id: text(raw, "id")?, shutdown_date: text(raw, "shutdown_date").and_then(|date| day(&date)) })
    }
}

/// The day of `2027-01-14`, with or without a time of day.
fn day(date: &str) -> Option<String> {
    let day = date.get(..10)?;
    let is_day = day
        .bytes()
        .enumerate()
        .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    is_day.then(|| day.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_model_is_a_day() {
        let read =
            |date: &str| Model::from_json(format!(r#"{{"id": "gpt-4.1", "shutdown_date": {date}}}"#).into()).unwrap();
        for date in [r#""2027-01-14""#, r#""2027-01-14T00:00:00Z""#] {
            assert_eq!(read(date).shutdown_date.as_deref(), Some("2027-01-14"), "{date}");
        }
        for other in [
            "null",
            "{}",
            r#""""#,
            r#""soon""#,
            r#""14.01.2027""#,
            r#""2027-01""#,
            r#""\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9""#,
        ] {
            assert_eq!(read(other).shutdown_date, None, "{other}");
        }
    }
}
