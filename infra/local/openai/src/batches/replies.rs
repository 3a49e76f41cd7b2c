//! A model's reply to one request of a batch, by the batch's endpoint.

use serde_json::{Value, json};

use crate::ids::{hex_id, now};
use crate::usage::{Usage, tokens};

/// The text of every reply.
const TEXT: &str = "Hello! How can I help you today?";

/// Tokens of [`TEXT`].
const TEXT_TOKENS: u64 = 9;

const DEFAULT_MODEL: &str = "gpt-6-luna";

pub(super) fn reply(endpoint: &str, request: &Value) -> (Value, Usage) {
    let model = request["model"].as_str().unwrap_or(DEFAULT_MODEL);
    let without_text = matches!(endpoint, "/v1/embeddings" | "/v1/moderations");
    let usage = Usage { input: tokens(request), output: if without_text { 0 } else { TEXT_TOKENS } };
    let body = match endpoint {
        "/v1/chat/completions" => json!({
            "id": hex_id("chatcmpl-"), "object": "chat.completion", "created": now(), "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": TEXT, "refusal": null, "annotations": [] },
                "logprobs": null, "finish_reason": "stop",
            }],
            "usage": usage.to_completion_json(),
            "service_tier": "default",
        }),
        "/v1/completions" => json!({
            "id": hex_id("cmpl-"), "object": "text_completion", "created": now(), "model": model,
            "choices": [{ "text": TEXT, "index": 0, "logprobs": null, "finish_reason": "stop" }],
            "usage": usage.to_completion_json(),
        }),
        "/v1/embeddings" => json!({
            "object": "list", "model": model,
            "data": [{ "object": "embedding", "index": 0, "embedding": [0.0023, -0.0093, 0.0156, -0.0042] }],
            "usage": { "prompt_tokens": usage.input, "total_tokens": usage.input },
        }),
        "/v1/moderations" => json!({
            "id": hex_id("modr-"), "model": model,
            "results": [{ "flagged": false, "categories": { "violence": false },
                          "category_scores": { "violence": 0.0001 } }],
        }),
        "/v1/images/generations" | "/v1/images/edits" => json!({
            "created": now(), "data": [{ "b64_json": "iVBORw0KGgo=" }], "usage": usage.to_json(),
        }),
        _ => json!({
            "id": hex_id("resp_"), "object": "response", "created_at": now(), "status": "completed", "model": model,
            "error": null, "incomplete_details": null, "background": false,
            "output": [{
                "id": hex_id("msg_"), "type": "message", "role": "assistant", "status": "completed",
                "content": [{ "type": "output_text", "text": TEXT, "annotations": [] }],
            }],
            "usage": usage.to_json(),
            "metadata": {},
        }),
    };
    (body, usage)
}
