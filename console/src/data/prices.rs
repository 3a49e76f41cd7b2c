//! What the tokens of a batch cost, by the price table in the parameter `/STACK/prices`, if there is one.
//!
//! `{"gpt-6-luna": {"input": 0.4, "cached": 0.1, "output": 1.6}}`: US dollars for a million tokens, as a batch is billed. The
//! name of a model is whole, or the beginning of it: the longest that fits counts.

use std::collections::BTreeMap;

use hooks_aws::parameters::Parameters;
use serde::Deserialize;
use serde_json::Value;

use super::objects::Object;
use crate::console::Console;
use crate::{Failure, Result};

/// Prices of a model, in US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    input: f64,
    /// Of input that was cached; as other input without it.
    cached: Option<f64>,
    output: f64,
}

/// The price table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// Reads the table; `None` if there is none. Needs `ssm:GetParameter`.
    pub(crate) async fn read(console: &Console) -> Result<Option<Self>> {
        let name = format!("/{}/prices", console.stack.name);
        let Some(found) = Parameters::new(&console.aws).get(&name).await? else { return Ok(None) };
        Self::parse(&found.value).map(Some).map_err(|why| {
            Failure::usage(format!("the price table {name} is not readable: {why}")).hint(
                r#"Its form is {"MODEL": {"input": 0.4, "cached": 0.1, "output": 1.6}}: dollars for a million tokens."#,
            )
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// What the tokens of a batch cost in US dollars; `None` if the table lacks one of its models.
    pub(crate) fn of(&self, object: &Object) -> Option<f64> {
        let models = object.summary("tokens")?.as_object().filter(|models| !models.is_empty())?;
        models.iter().map(|(model, tokens)| self.of_model(model, tokens)).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "a sum of money for people")]
    fn of_model(&self, model: &str, tokens: &Value) -> Option<f64> {
        let fitting = self.0.iter().filter(|(name, _)| model.starts_with(name.as_str()));
        let (_, price) = fitting.max_by_key(|(name, _)| name.len())?;
        let count = |name: &str| tokens.get(name).and_then(Value::as_u64).unwrap_or(0) as f64;
        let (input, cached, output) = (count("input"), count("cached"), count("output"));
        let sum = (input - cached).max(0.0) * price.input
            + cached * price.cached.unwrap_or(price.input)
            + output * price.output;
        Some(sum / 1_000_000.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(tokens: &Value) -> Object {
        let job = json!({ "summary": { "tokens": tokens } });
        Object { id: "batch_1".to_owned(), job: job.as_object().unwrap().clone(), event: None }
    }

    #[test]
    fn cached_tokens_have_their_own_price_and_the_longest_name_counts() {
        let table = r#"{"gpt": {"input": 9, "output": 9}, "gpt-6-luna": {"input": 2, "cached": 1, "output": 4}}"#;
        let prices = Prices::parse(table).unwrap();
        let tokens = json!({ "gpt-6-luna-2026": { "input": 3_000_000, "cached": 1_000_000, "output": 500_000 } });
        assert_eq!(prices.of(&object(&tokens)), Some(7.0));
        assert_eq!(prices.of(&object(&json!({ "other": { "input": 1 } }))), None);
        assert_eq!(prices.of(&object(&json!({}))), None);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["[]", r#"{"gpt": 7}"#, r#"{"gpt": {"input": 1, "output": 1, "image": 1}}"#, "{"] {
            assert!(Prices::parse(text).is_err(), "{text}");
        }
    }
}
