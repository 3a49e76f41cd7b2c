//! The counts of a result file.

use std::collections::BTreeMap;

use hooks_openai::{Json, read_error};
use serde::Serialize;

/// Maximum number of different error codes, and of different models. Further ones are counted together.
const MAX_NAMES: usize = 50;

/// The name of the further ones.
const OTHER: &str = "(other)";

/// The model of a result without a model.
const NO_MODEL: &str = "(unnamed)";

/// Maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The counts of a result file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Length of the file in bytes.
    pub(crate) bytes: u64,
    /// Lines that are not blank: the sum of the next four.
    pub(crate) lines: u64,
    /// Requests with a status of success.
    pub(crate) succeeded: u64,
    /// Requests with another status, or without a response.
    pub(crate) failed: u64,
    /// Lines that are not JSON, or not a result.
    pub(crate) malformed: u64,
    /// Lines that are too long to be parsed.
    pub(crate) oversized: u64,
    /// Number of lines by HTTP status.
    #[serde(skip)]
    pub(crate) status_codes: BTreeMap<u64, u64>,
    /// Failed lines by error code.
    #[serde(skip)]
    pub(crate) errors: BTreeMap<String, ErrorTally>,
    /// Token usage by model.
    #[serde(skip)]
    pub(crate) tokens: BTreeMap<String, Tokens>,
}

/// The failed requests with one error code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorTally {
    /// Number of requests.
    pub(crate) count: u64,
    /// The `custom_id` of the first one, to find it in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_custom_id: Option<String>,
    /// The message of the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_message: Option<String>,
}

/// The token usage of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tokens {
    /// Number of results with a usage.
    pub(crate) requests: u64,
    /// Input tokens.
    pub(crate) input: u64,
    /// Input tokens that were cached.
    pub(crate) cached: u64,
    /// Input tokens that were written into the cache, which costs more.
    pub(crate) cache_write: u64,
    /// Output tokens.
    pub(crate) output: u64,
    /// Output tokens for reasoning.
    pub(crate) reasoning: u64,
    /// All tokens, as OpenAI counts them.
    pub(crate) total: u64,
}

impl Tokens {
    /// Endpoints name the tokens input and output, or prompt and completion.
    fn of(usage: Json<'_>) -> Self {
        let count = |pointers: [&str; 2]| pointers.into_iter().find_map(|pointer| usage.at(pointer)?.count());
        let input = count(["/input_tokens", "/prompt_tokens"]).unwrap_or_default();
        let output = count(["/output_tokens", "/completion_tokens"]).unwrap_or_default();
        let of_input =
            |name: &str| count([&format!("/input_tokens_details/{name}"), &format!("/prompt_tokens_details/{name}")]);
        let reasoning =
            count(["/output_tokens_details/reasoning_tokens", "/completion_tokens_details/reasoning_tokens"]);
        Self {
            requests: 1,
            input,
            cached: of_input("cached_tokens").unwrap_or_default(),
            cache_write: of_input("cache_write_tokens").unwrap_or_default(),
            output,
            reasoning: reasoning.unwrap_or_default(),
            total: usage.at("/total_tokens").and_then(Json::count).unwrap_or_else(|| input.saturating_add(output)),
        }
    }

    /// Saturates, because the numbers come from outside.
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.total = self.total.saturating_add(other.total);
    }
}

impl Tally {
    /// Counts a line, unless it is blank.
    pub(super) fn line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.lines += 1;
        let [custom_id, response, error] =
            Json::parse(line).map(|result| result.pick(["custom_id", "response", "error"])).unwrap_or_default();
        let [response, error] = [response, error].map(|part| part.filter(|part| part.is_object()));
        if response.is_some() || error.is_some() {
            self.result(custom_id, response, error);
        } else {
            self.malformed += 1;
        }
    }

    /// Counts a line that is too long to be parsed.
    pub(super) fn oversized_line(&mut self) {
        self.lines += 1;
        self.oversized += 1;
    }

    /// Adds the counts of another file.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.malformed += other.malformed;
        self.oversized += other.oversized;
        for (status, count) in &other.status_codes {
            *self.status_codes.entry(*status).or_default() += count;
        }
        for (code, errors) in &other.errors {
            update(&mut self.errors, code, |entry| {
                if entry.count == 0 {
                    *entry = errors.clone();
                } else {
                    entry.count += errors.count;
                }
            });
        }
        for (model, tokens) in &other.tokens {
            update(&mut self.tokens, model, |entry| entry.add(tokens));
        }
    }

    fn result(&mut self, custom_id: Option<Json<'_>>, response: Option<Json<'_>>, error: Option<Json<'_>>) {
        let [status, body] = response.map(|response| response.pick(["status_code", "body"])).unwrap_or_default();
        let [model, usage, of_body] = body.map(|body| body.pick(["model", "usage", "error"])).unwrap_or_default();
        let status = status.and_then(Json::count);
        if let Some(status) = status {
            // HTTP has no greater status, and the number of entries stays bounded.
            *self.status_codes.entry(status.min(999)).or_default() += 1;
        }
        let error = read_error(error).or_else(|| read_error(of_body));
        if error.is_none() && status.is_some_and(|status| (200..300).contains(&status)) {
            self.succeeded += 1;
        } else {
            self.failed += 1;
            self.error(custom_id, status, error.unwrap_or_default());
        }
        if let Some(usage) = usage.filter(|usage| usage.is_object()) {
            let model = model.and_then(Json::text);
            update(&mut self.tokens, model.as_deref().unwrap_or(NO_MODEL), |entry| entry.add(&Tokens::of(usage)));
        }
    }

    fn error(
        &mut self,
        custom_id: Option<Json<'_>>,
        status: Option<u64>,
        (code, message): (Option<String>, Option<String>),
    ) {
        let code = code.or_else(|| Some(format!("http_{}", status?))).unwrap_or_else(|| "unknown".to_owned());
        update(&mut self.errors, &code, |entry| {
            entry.count += 1;
            if entry.count == 1 {
                entry.first_custom_id = custom_id.and_then(Json::text).map(|text| hooks_openai::for_display(&text));
                entry.first_message = message.as_deref().map(hooks_openai::for_display);
            }
        });
    }
}

/// Changes the entry of a name, or the entry of the further ones when there are too many names.
fn update<T: Default>(entries: &mut BTreeMap<String, T>, name: &str, change: impl FnOnce(&mut T)) {
    let name = match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => &name[..end],
        None => name,
    };
    let name = if entries.len() < MAX_NAMES || entries.contains_key(name) { name } else { OTHER };
    // A known name, as most are, needs no allocation.
    if let Some(entry) = entries.get_mut(name) {
        change(entry);
    } else {
        let mut entry = T::default();
        change(&mut entry);
        entries.insert(name.to_owned(), entry);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tally(lines: &[Value]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.line(line.to_string().as_bytes());
        }
        tally
    }

    fn result(status: u16, body: &Value) -> Value {
        json!({"id": "batch_req_1", "custom_id": "row-1", "error": null,
            "response": {"status_code": status, "request_id": "req_1", "body": body}})
    }

    #[test]
    fn tokens_are_added_up_by_model_under_either_name() {
        let response = json!({"model": "gpt-6-luna", "error": null, "usage": {"input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 6}, "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 17}});
        let chat = json!({"model": "gpt-6-luna", "usage": {"prompt_tokens": 1, "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 3}});
        let embedding = json!({"model": "embed", "data": [{"embedding": [0.1, -2e-5]}],
            "usage": {"prompt_tokens": 5, "total_tokens": 5}});
        let tally = tally(&[result(200, &response), result(200, &chat), result(200, &embedding)]);
        assert_eq!(
            tally.tokens["gpt-6-luna"],
            Tokens { requests: 2, input: 11, cached: 5, cache_write: 8, output: 9, reasoning: 3, total: 20 }
        );
        assert_eq!(tally.tokens["embed"], Tokens { requests: 1, input: 5, total: 5, ..Tokens::default() });
        assert_eq!((tally.lines, tally.succeeded, tally.failed), (3, 3, 0));
        assert_eq!(tally.status_codes, BTreeMap::from([(200, 3)]));
    }

    #[test]
    fn failures_are_counted_by_code_with_the_first_of_each_as_an_example() {
        let refused = |message| json!({"error": {"message": message, "type": "invalid_request_error", "code": "bad"}});
        let tally = tally(&[
            result(400, &refused("first")),
            result(400, &refused("second")),
            result(400, &json!({"error": {"message": "m", "type": "only_type", "code": null}})),
            result(500, &json!("Internal error")),
            json!({"custom_id": "row-9", "response": null,
                "error": {"code": "batch_expired", "message": "This request could not be executed in time."}}),
            json!({"custom_id": "row-9", "error": {}}),
            json!({"custom_id": "row-10", "response": {"status_code": 0, "request_id": "", "body": {}}, "error": null}),
        ]);
        assert_eq!((tally.lines, tally.succeeded, tally.failed), (7, 0, 7));
        let counts: Vec<_> = tally.errors.iter().map(|(code, errors)| (code.as_str(), errors.count)).collect();
        let ones = ["batch_expired", "http_0", "http_500", "only_type", "unknown"].map(|code| (code, 1));
        assert_eq!(counts, [&[("bad", 2)][..], &ones].concat());
        assert_eq!(tally.errors["bad"].first_message.as_deref(), Some("first"));
        assert_eq!(tally.errors["batch_expired"].first_custom_id.as_deref(), Some("row-9"));
        assert_eq!(tally.status_codes, BTreeMap::from([(0, 1), (400, 3), (500, 1)]));
    }

    #[test]
    fn a_result_with_an_error_has_failed_whatever_its_status() {
        let mut line = result(200, &json!({}));
        line["error"] = json!({"code": "c"});
        assert_eq!(tally(&[line]).failed, 1);
        assert_eq!(tally(&[result(200, &json!({"error": {"code": "server_error"}}))]).failed, 1);
    }

    #[test]
    fn an_error_that_says_nothing_is_none() {
        for nothing in [json!({}), json!({"code": null, "message": null}), json!(null)] {
            let mut line = result(200, &json!({"error": nothing}));
            line["error"] = nothing.clone();
            assert_eq!(tally(&[line]).succeeded, 1, "{nothing}");
        }
    }

    #[test]
    fn an_odd_value_in_a_line_is_the_only_one_that_is_not_read() {
        let mut tally = Tally::default();
        for line in [
            r#"{"custom_id": "row-\ud83d", "response": {"status_code": 200, "body": {"model": "m", "x": 1e999, "usage": {"total_tokens": 7}}}}"#,
            r#"{"custom_id": "row-2", "response": {"status_code": 500, "status_code": 200, "body": {"text": "\udc00"}}, "error": null}"#,
            r#"{"custom_id": "row-\ud83d", "response": {"status_code": 400, "body": {"error": {"code": "bad", "message": "'\ud83d'"}}}}"#,
        ] {
            tally.line(line.as_bytes());
        }
        tally.line(b"{\"custom_id\": \"\xff\", \"response\": {\"status_code\": 200}}");
        assert_eq!((tally.succeeded, tally.failed, tally.malformed, tally.tokens["m"].total), (3, 1, 0, 7));
        let bad = &tally.errors["bad"];
        assert_eq!(
            (bad.first_custom_id.as_deref(), bad.first_message.as_deref()),
            (Some("row-\u{fffd}"), Some("'\u{fffd}'"))
        );
    }

    #[test]
    fn json_that_is_not_a_result_is_malformed() {
        let others = [
            json!(null),
            json!(1),
            json!("text"),
            json!([{"response": {"status_code": 200}}]),
            json!({}),
            json!({"response": null}),
            json!({"response": "text", "error": []}),
        ];
        assert_eq!(tally(&others).malformed, others.len() as u64);
    }

    #[test]
    fn a_field_of_an_unexpected_type_is_absent() {
        let body = json!({"model": {"name": "m"}, "usage": {"input_tokens": -1, "output_tokens": "7", "total_tokens": 1.5,
            "input_tokens_details": [1], "output_tokens_details": {"reasoning_tokens": null}}, "error": false});
        let tally =
            tally(&[result(200, &body), json!({"custom_id": 7, "response": {"status_code": "200", "body": []}})]);
        assert_eq!((tally.succeeded, tally.failed, tally.malformed), (1, 1, 0));
        assert_eq!(tally.tokens["(unnamed)"], Tokens { requests: 1, ..Tokens::default() });
    }

    #[test]
    fn a_very_deep_body_is_still_json() {
        let deep = format!(
            "{{\"response\":{{\"status_code\":200,\"body\":{{\"x\":{}1{}}}}}}}",
            "[".repeat(9999),
            "]".repeat(9999)
        );
        let mut tally = Tally::default();
        tally.line(deep.as_bytes());
        assert_eq!((tally.succeeded, tally.malformed), (1, 0));
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let lines: Vec<Value> = (0..200)
            .map(|i| result(400, &json!({"error": {"code": format!("{i}{}", "\u{e4}".repeat(1000))}})))
            .collect();
        let tally = tally(&lines);
        assert_eq!(tally.errors.len(), 51);
        assert_eq!(tally.errors[OTHER].count, 150);
        assert!(tally.errors.keys().all(|code| code.chars().count() <= 100));
    }

    #[test]
    fn two_files_add_up() {
        let mut both = tally(&[result(200, &json!({"model": "m", "usage": {"total_tokens": 3}}))]);
        both.add(&tally(&[
            result(400, &json!({"error": {"code": "bad", "message": "m"}})),
            result(200, &json!({"model": "m", "usage": {"total_tokens": 4}})),
        ]));
        assert_eq!((both.lines, both.succeeded, both.failed), (3, 2, 1));
        assert_eq!(both.status_codes, BTreeMap::from([(200, 2), (400, 1)]));
        assert_eq!(both.errors["bad"].first_message.as_deref(), Some("m"));
        assert_eq!((both.tokens["m"].requests, both.tokens["m"].total), (2, 7));
    }
}
