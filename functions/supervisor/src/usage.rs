//! Usage of a session: seconds, tokens, cost.

use std::collections::VecDeque;

use hooks_openai::{CallApi, TokenUsage};
use serde_json::{Map, Value};

use crate::prices;

/// Number of responses whose ids are kept, so that none is counted by a supervisor and by its successor.
const KEPT: usize = 16;

/// Price of a Live session in dollars a second, beside the tokens of its backend.
const LIVE_SECOND_USD: f64 = 0.05 / 60.0;

/// Usage so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    seconds: u64,
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    responses: u64,
    /// Responses of models that have no price here.
    unpriced: u64,
    /// Cost of the tokens, in billionths of a dollar.
    token_cost: u64,
    counted: VecDeque<String>,
}

impl Usage {
    /// Goes on with what a predecessor has counted.
    pub(crate) fn read(usage: &Map<String, Value>) -> Self {
        let number = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        let counted = usage.get("counted").and_then(Value::as_array);
        Self {
            seconds: number("seconds"),
            input_tokens: number("input_tokens"),
            output_tokens: number("output_tokens"),
            total_tokens: number("total_tokens"),
            responses: number("responses"),
            unpriced: number("unpriced_responses"),
            token_cost: number("token_cost"),
            counted: counted.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
        }
    }

    /// For the record, from which a successor reads it.
    pub(crate) fn record(&self) -> Map<String, Value> {
        let mut record = self.numbers();
        record.insert("token_cost".to_owned(), self.token_cost.into());
        record.insert("counted".to_owned(), self.counted.iter().cloned().collect());
        record
    }

    /// Numbers for people and programs.
    pub(crate) fn numbers(&self) -> Map<String, Value> {
        [
            ("seconds", self.seconds),
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            ("total_tokens", self.total_tokens),
            ("responses", self.responses),
            ("unpriced_responses", self.unpriced),
        ]
        .into_iter()
        .map(|(name, number)| (name.to_owned(), number.into()))
        .collect()
    }

    /// Seconds of the session so far. It never becomes less: events of a hand-over come in any order.
    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.seconds = self.seconds.max(seconds);
    }

    /// Counts a response of a model, once.
    pub(crate) fn response(&mut self, id: Option<&str>, model: Option<&str>, tokens: TokenUsage) {
        if let Some(id) = id {
            if self.counted.iter().any(|counted| counted == id) {
                return;
            }
            if self.counted.len() == KEPT {
                self.counted.pop_front();
            }
            self.counted.push_back(id.to_owned());
        }
        self.responses += 1;
        match model.and_then(|model| prices::cost(model, &tokens)) {
            Some(cost) => self.token_cost = self.token_cost.saturating_add(cost),
            None => self.unpriced += 1,
        }
        self.input_tokens = self.input_tokens.saturating_add(tokens.input);
        self.output_tokens = self.output_tokens.saturating_add(tokens.output);
        self.total_tokens = self.total_tokens.saturating_add(tokens.total);
    }

    /// Cost so far in dollars, to the hundredth of a cent: of the minutes of a Live session, and of the tokens of models that
    /// have a price here. `None` when nothing of it has one.
    #[expect(clippy::cast_precision_loss, reason = "a call costs far less than 2^52 billionths of a dollar")]
    pub(crate) fn cost_usd(&self, api: CallApi) -> Option<f64> {
        let time = match api {
            CallApi::Live => self.seconds as f64 * LIVE_SECOND_USD,
            CallApi::Realtime if self.unpriced > 0 && self.unpriced == self.responses => return None,
            CallApi::Realtime => 0.0,
        };
        Some(((time + self.token_cost as f64 / 1e9) * 1e4).round() / 1e4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: u64, output: u64) -> TokenUsage {
        let mut tokens = TokenUsage::default();
        (tokens.input, tokens.output, tokens.total) = (input, output, input + output);
        tokens
    }

    #[test]
    fn a_response_counts_once_also_for_a_successor() {
        let mut usage = Usage::default();
        usage.response(Some("resp_1"), Some("gpt-6-luna"), tokens(1000, 500));
        usage.response(Some("resp_1"), Some("gpt-6-luna"), tokens(1000, 500));
        usage.seconds(90);
        let mut successor = Usage::read(&usage.record());
        assert_eq!(successor, usage);
        successor.response(Some("resp_1"), None, tokens(1000, 500));
        successor.seconds(60);
        assert_eq!(successor, usage);
        successor.response(Some("resp_2"), None, tokens(1, 1));
        assert_eq!(successor.numbers()["input_tokens"], 1001);
        assert_eq!(successor.numbers()["seconds"], 90);
    }

    #[test]
    fn a_live_session_costs_its_minutes_and_the_tokens_of_its_backend() {
        let mut usage = Usage::default();
        usage.seconds(90);
        assert_eq!(usage.cost_usd(CallApi::Live), Some(0.075));
        usage.response(None, Some("gpt-6-astra"), tokens(1_000, 100));
        assert_eq!(usage.cost_usd(CallApi::Live), Some(0.09));
        assert_eq!(Usage::read(&usage.record()).cost_usd(CallApi::Live), Some(0.09));
    }

    #[test]
    fn a_realtime_session_costs_its_tokens_if_they_have_a_price() {
        let mut usage = Usage::default();
        usage.seconds(90);
        assert_eq!(usage.cost_usd(CallApi::Realtime), Some(0.0));
        usage.response(None, Some("gpt-unknown"), tokens(1_000, 100));
        assert_eq!(usage.cost_usd(CallApi::Realtime), None);
        usage.response(None, Some("gpt-realtime-2.1"), tokens(100_000, 0));
        assert_eq!(usage.cost_usd(CallApi::Realtime), Some(0.4));
        assert_eq!(usage.numbers()["unpriced_responses"], 1);
    }

    #[test]
    fn no_record_of_any_shape_is_refused() {
        let record = serde_json::json!({"seconds": "x", "counted": 7, "input_tokens": -1});
        assert_eq!(Usage::read(record.as_object().unwrap()), Usage::default());
    }
}
