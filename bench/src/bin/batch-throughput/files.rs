//! Output files, made of a repeated block of lines.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

/// Length of a block in bytes: larger than the caches, small enough to build in memory.
const BLOCK_BYTES: usize = 8 << 20;

/// An output file. Cheap to clone.
#[derive(Clone)]
pub(crate) struct File {
    name: &'static str,
    block: Arc<[u8]>,
    lines_per_block: u64,
    blocks: u64,
}

impl File {
    /// Responses of a text model of 700 bytes to 20 kB, the usual content of a batch.
    pub(crate) fn answers(length: u64) -> Self {
        let words =
            "The quick brown fox jumps over the lazy dog, says \"hello\", and\nruns on. A na\u{ef}ve: 50\u{a0}%. ";
        Self::of_lines("answers", length, |number| {
            // A realistic distribution: many short lines, few long ones.
            let repeat = 1 + (number * 7919) % 23 * ((number * 104_729) % 11);
            let body = json!({
                "id": format!("resp_{number:032x}"), "object": "response", "created_at": 1_795_230_915, "status": "completed",
                "error": null, "incomplete_details": null, "instructions": null, "model": "gpt-6-luna-2026-09-01",
                "output": [{"id": format!("msg_{number:032x}"), "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": words.repeat(repeat), "annotations": []}]}],
                "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
                "usage": {"input_tokens": 121, "input_tokens_details": {"cached_tokens": 64}, "output_tokens": 23 * repeat,
                    "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 121 + 23 * repeat},
                "metadata": {},
            });
            json!({"id": format!("batch_req_{number:032x}"), "custom_id": format!("request-{number}"),
                "response": {"status_code": 200, "request_id": format!("req_{number:032x}"), "body": body}, "error": null})
            .to_string()
        })
    }

    /// Embeddings of 1,536 numbers, the worst case for a JSON parser.
    pub(crate) fn embeddings(length: u64) -> Self {
        Self::of_lines("embeddings", length, |number| {
            let mut vector = String::new();
            for at in 0..1_536 {
                let value = (number * 31 + at * 7919) % 2_000_003;
                let sign = if at % 2 == 0 { "-" } else { "" };
                // Writing to a `String` cannot fail.
                let _ = write!(vector, "{sign}0.0{value:07},");
            }
            format!(
                "{{\"id\": \"batch_req_{number:032x}\", \"custom_id\": \"request-{number}\", \"response\": {{\"status_code\": 200, \
                 \"request_id\": \"req_{number:032x}\", \"body\": {{\"object\": \"list\", \"data\": [{{\"object\": \"embedding\", \
                 \"index\": 0, \"embedding\": [{}]}}], \"model\": \"text-embedding-3-small\", \"usage\": {{\"prompt_tokens\": 8, \
                 \"total_tokens\": 8}}}}}}, \"error\": null}}",
                vector.trim_end_matches(',')
            )
        })
    }

    fn of_lines(name: &'static str, length: u64, line: impl Fn(usize) -> String) -> Self {
        let (mut block, mut lines_per_block) = (Vec::new(), 0);
        while block.len() < BLOCK_BYTES {
            block.extend_from_slice(line(block.len()).as_bytes());
            block.push(b'\n');
            lines_per_block += 1;
        }
        let blocks = length.div_ceil(block.len() as u64);
        Self { name, block: block.into(), lines_per_block, blocks }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn length(&self) -> u64 {
        self.block.len() as u64 * self.blocks
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines_per_block * self.blocks
    }

    /// Content of the file.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.blocks).map(|_| &*self.block)
    }
}
