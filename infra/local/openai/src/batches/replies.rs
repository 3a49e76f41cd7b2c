//! What a model answers to one request of a batch, by the batch's endpoint.

use serde_json::{Value, json};

use crate::ids::{hex_id, now};

/// The text of every played answer.
const TEXT: &str = "Hello! How can I help you today?";

/// Tokens of [`TEXT`].
const TEXT_TOKENS: u64 = 9;

const DEFAULT_MODEL: &str = "gpt-6-luna";

pub(super) struct Reply {
    pub(super) body: Value,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

pub(super) fn reply(endpoint: &str, request: &Value) -> Reply {
    let model = request["model"].as_str().unwrap_or(DEFAULT_MODEL);
    // A rule of thumb: four characters to the token. Good enough to differ from line to line.
    let input_tokens = 1 + request.to_string().len() as u64 / 4;
    let output_tokens = match endpoint {
        "/v1/embeddings" | "/v1/moderations" => 0,
        _ => TEXT_TOKENS,
    };
    let total_tokens = input_tokens + output_tokens;
    let body = match endpoint {
        "/v1/chat/completions" => json!({
            "id": hex_id("chatcmpl-"), "object": "chat.completion", "created": now(), "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": TEXT, "refusal": null, "annotations": [] },
                "logprobs": null, "finish_reason": "stop",
            }],
            "usage": chat_usage(input_tokens, output_tokens),
            "service_tier": "default",
        }),
        "/v1/completions" => json!({
            "id": hex_id("cmpl-"), "object": "text_completion", "created": now(), "model": model,
            "choices": [{ "text": TEXT, "index": 0, "logprobs": null, "finish_reason": "stop" }],
            "usage": chat_usage(input_tokens, output_tokens),
        }),
        "/v1/embeddings" => json!({
            "object": "list", "model": model,
            "data": [{ "object": "embedding", "index": 0, "embedding": [0.0023, -0.0093, 0.0156, -0.0042] }],
            "usage": { "prompt_tokens": input_tokens, "total_tokens": total_tokens },
        }),
        "/v1/moderations" => json!({
            "id": hex_id("modr-"), "model": model,
            "results": [{ "flagged": false, "categories": { "violence": false },
                          "category_scores": { "violence": 0.0001 } }],
        }),
        "/v1/images/generations" | "/v1/images/edits" => json!({
            "created": now(), "data": [{ "b64_json": "iVBORw0KGgo=" }],
            "usage": { "input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": total_tokens },
        }),
        _ => json!({
            "id": hex_id("resp_"), "object": "response", "created_at": now(), "status": "completed", "model": model,
            "error": null, "incomplete_details": null, "background": false,
            "output": [{
                "id": hex_id("msg_"), "type": "message", "role": "assistant", "status": "completed",
                "content": [{ "type": "output_text", "text": TEXT, "annotations": [] }],
            }],
            "usage": {
                "input_tokens": input_tokens, "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": output_tokens, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": total_tokens,
            },
            "metadata": {},
        }),
    };
    Reply { body, input_tokens, output_tokens }
}

fn chat_usage(prompt_tokens: u64, completion_tokens: u64) -> Value {
    json!({
        "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": { "cached_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0 },
    })
}
