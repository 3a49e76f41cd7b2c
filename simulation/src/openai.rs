//! OpenAI: objects that appear, end and go, and calls that can be answered once.

use std::collections::BTreeMap;

use hooks_consumer::Category;
use serde_json::json;
use tokio::time::Instant;

use crate::network::Reply;

/// The content of every file.
const LINES: &str = "{\"custom_id\":\"1\",\"response\":{\"status_code\":200,\"body\":{\"usage\":{}}},\"error\":null}\n";

/// An object, or a call.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Before, it is answered by 404.
    pub(crate) appears_at: Instant,
    /// Before, it is under way.
    pub(crate) ends_at: Instant,
    /// From then on, it is answered by 404.
    pub(crate) gone_at: Instant,
    /// How it ends, in OpenAI's words.
    pub(crate) status: String,
    /// How often a call was answered with an effect.
    pub(crate) answered: u32,
    /// Whether a call that was answered is answered by 404 afterwards, rather than by 409.
    pub(crate) forgets: bool,
}

/// OpenAI.
#[derive(Default)]
pub(crate) struct OpenAi {
    pub(crate) objects: BTreeMap<String, Object>,
}

/// Whether a path answers a call, and which.
pub(crate) fn call_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/realtime/calls/")?;
    Some(rest.split('/').next().unwrap_or_default())
}

/// An object's id with its category's prefix, so that the paths tell them apart.
pub(crate) fn object_id(category: Category, number: usize) -> String {
    let prefix = match category {
        Category::Batch => "batch_",
        Category::Response => "resp_",
        Category::FineTuning => "ftjob-",
        Category::Realtime => "rtc_",
        Category::Agent => "sess_",
        Category::Safety => "alert_",
        Category::File => "file-",
        Category::Archive => "video_",
    };
    format!("{prefix}{number}")
}

impl OpenAi {
    pub(crate) fn answer(&mut self, method: &str, path: &str) -> Reply {
        let now = Instant::now();
        let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        if method == "POST" && segments == ["responses"] {
            let text = json!({"type": "output_text", "text": "Hello."});
            let message = json!({"type": "message", "content": [text]});
            return Reply::json(200, &json!({"id": "resp_x", "status": "completed", "output": [message]}));
        }
        let id = match segments.as_slice() {
            ["files", id, ..] => id.strip_prefix("file-of-").unwrap_or(id),
            ["batches" | "responses", id] | [_, _, id, ..] => id,
            _ => "",
        };
        let Some(object) = self.objects.get_mut(id).filter(|it| it.appears_at <= now && now < it.gone_at) else {
            return not_found();
        };
        if call_of(path).is_some() {
            return match (object.answered, object.forgets) {
                (0, _) => {
                    object.answered = 1;
                    Reply::json(200, &json!({}))
                }
                (_, true) => not_found(),
                _ => Reply::json(409, &json!({"error": {"code": "call_already_answered", "message": "No."}})),
            };
        }
        let has_ended = object.ends_at <= now;
        let status = if has_ended { object.status.as_str() } else { "in_progress" };
        match segments.as_slice() {
            ["batches", _] => Reply::json(
                200,
                &json!({
                    "id": id, "object": "batch", "status": status, "created_at": 1_795_300_000,
                    "output_file_id": has_ended.then(|| format!("file-of-{id}")),
                    "request_counts": {"total": 1, "completed": i32::from(has_ended), "failed": 0},
                }),
            ),
            ["files", _, "content"] => Reply::text(200, LINES),
            ["files", _] => Reply::json(200, &json!({"id": segments[1], "object": "file", "bytes": LINES.len()})),
            ["fine_tuning", _, _, _] | ["agents", _, _, "turns"] => {
                Reply::json(200, &json!({"object": "list", "data": [], "has_more": false}))
            }
            ["fine_tuning", ..] => Reply::json(
                200,
                &json!({
                    "id": id, "object": "fine_tuning.job", "status": if has_ended { status } else { "running" },
                    "model": "gpt-4.1-mini", "fine_tuned_model": has_ended.then(|| format!("ft:gpt-4.1-mini:a:s:{id}")),
                    "created_at": 1_795_300_000, "finished_at": has_ended.then_some(1_795_300_100),
                }),
            ),
            _ => Reply::json(200, &json!({"id": id, "object": "thing", "status": status, "created_at": 1_795_300_000})),
        }
    }
}

fn not_found() -> Reply {
    Reply::json(404, &json!({"error": {"code": "not_found", "message": "There is no such object."}}))
}
