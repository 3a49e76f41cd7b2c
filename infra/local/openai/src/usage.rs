//! Token usage.

use serde_json::{Value, json};

/// Tokens used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, other: Self) {
        self.input += other.input;
        self.output += other.output;
    }

    /// The form of the Responses API and of a batch.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "input_tokens": self.input, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
            "output_tokens": self.output, "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": self.input + self.output,
        })
    }

    /// The form of the completion APIs.
    pub(crate) fn to_completion_json(self) -> Value {
        json!({
            "prompt_tokens": self.input, "prompt_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
            "completion_tokens": self.output, "completion_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": self.input + self.output,
        })
    }
}

/// An estimate: four characters to the token.
pub(crate) fn tokens(value: &Value) -> u64 {
    1 + value.to_string().len() as u64 / 4
}
