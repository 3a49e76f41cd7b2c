//! A batch's output and error files, derived from its input line by line.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::replies::reply;
use crate::errors::{ApiError, ObjectError};
use crate::files::{Content, lines_of};
use crate::ids::{hex_id, name};
use crate::usage::Usage;

/// The outcome of each input line: by `custom_id`, or else the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    #[serde(default)]
    default: Outcome,
    #[serde(default)]
    lines: BTreeMap<String, Outcome>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Outcome {
    /// Answered with this status: below 400 in the output file, else in the error file.
    Status(u16),
    Named(NamedOutcome),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NamedOutcome {
    /// In the error file: the window ended first.
    BatchExpired,
    /// In the error file: the batch was cancelled first.
    BatchCancelled,
    /// In the error file: the model did not answer.
    RequestTimeout,
    /// A success whose line in the output file is not JSON.
    Malformed,
    /// In neither file.
    Missing,
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Status(200)
    }
}

#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) output: Bytes,
    pub(super) errors: Bytes,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
}

/// One line of the input; other fields are ignored.
#[derive(Debug, Deserialize)]
struct Request {
    custom_id: String,
    #[serde(default)]
    body: Value,
}

/// One line of an output or error file, its fields in OpenAI's order.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<LineResponse>,
    error: Option<ObjectError>,
}

#[derive(Debug, Serialize)]
struct LineResponse {
    status_code: u16,
    request_id: String,
    body: Value,
}

/// Derives the files and figures of a batch. The lines are shuffled, since OpenAI guarantees no order.
pub(super) fn derive(input: &Content, endpoint: &str, plan: &Plan) -> Result<Derived, String> {
    let requests = parse(input)?;
    let ids: BTreeSet<&str> = requests.iter().map(|request| request.custom_id.as_str()).collect();
    if let Some(unknown) = plan.lines.keys().find(|id| !ids.contains(id.as_str())) {
        return Err(format!("the plan names {unknown:?}, which is not a custom_id of the input file"));
    }

    let model = requests.first().and_then(|request| request.body["model"].as_str()).map(str::to_owned);
    let mut derived = Derived { model, ..Derived::default() };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    for request in &requests {
        let mut answered = |status| {
            let (body, usage) = reply(endpoint, &request.body);
            derived.usage.add(usage);
            Line::response(request, status, body).to_json()
        };
        match plan.lines.get(&request.custom_id).copied().unwrap_or(plan.default) {
            Outcome::Status(status @ 400..) => {
                let error = ApiError::of_status(StatusCode::from_u16(status).unwrap_or_default());
                errors.push(Line::response(request, status, error.to_json()).to_json()?);
            }
            Outcome::Status(status) => output.push(answered(status)?),
            Outcome::Named(NamedOutcome::Malformed) => {
                let mut line = answered(200)?;
                line.truncate(line.len() / 2);
                output.push(line);
            }
            Outcome::Named(NamedOutcome::Missing) => {}
            Outcome::Named(not_executed) => errors.push(Line::error(request, not_executed).to_json()?),
        }
    }
    (derived.completed, derived.failed) = (output.len() as u64, errors.len() as u64);
    (derived.output, derived.errors) = (shuffled(output), shuffled(errors));
    Ok(derived)
}

fn parse(input: &Content) -> Result<Vec<Request>, String> {
    let Content::Stored(bytes) = input else {
        return Err("no files can be derived from a generated input file; give output_file_id or error_file_id".into());
    };
    lines_of(bytes)
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_slice(line)
                .map_err(|error| format!("request {} of the input file cannot be played: {error}", index + 1))
        })
        .collect()
}

impl<'a> Line<'a> {
    fn response(request: &'a Request, status_code: u16, body: Value) -> Self {
        let response = LineResponse { status_code, request_id: hex_id(""), body };
        Self { id: hex_id("batch_req_"), custom_id: &request.custom_id, response: Some(response), error: None }
    }

    fn error(request: &'a Request, outcome: NamedOutcome) -> Self {
        let message = match outcome {
            NamedOutcome::BatchCancelled => "This request was not executed because the batch was cancelled.",
            NamedOutcome::RequestTimeout => "The underlying call to the model timed out.",
            _ => "This request could not be executed before the completion window expired.",
        };
        let error = Some(ObjectError::new(&name(outcome), message));
        Self { id: hex_id("batch_req_"), custom_id: &request.custom_id, response: None, error }
    }

    fn to_json(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }
}

fn shuffled(mut lines: Vec<Vec<u8>>) -> Bytes {
    fastrand::shuffle(&mut lines);
    let mut bytes = BytesMut::new();
    for line in lines {
        bytes.put_slice(&line);
        bytes.put_u8(b'\n');
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(count: usize) -> Content {
        let line = |n| {
            json!({ "custom_id": format!("r{n}"), "method": "POST", "url": "/v1/responses",
                    "body": { "model": "gpt-6-luna", "input": "Say hello." } })
            .to_string()
        };
        Content::Stored((0..count).map(line).collect::<Vec<_>>().join("\n").into())
    }

    fn play(count: usize, plan: Value) -> Derived {
        derive(&input(count), "/v1/responses", &serde_json::from_value(plan).unwrap()).unwrap()
    }

    fn parsed(bytes: &[u8]) -> Vec<Value> {
        lines_of(bytes).map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn every_request_is_answered_once_in_another_order() {
        let derived = play(50, json!({}));
        let mut ids: Vec<String> =
            parsed(&derived.output).iter().map(|line| line["custom_id"].as_str().unwrap().to_owned()).collect();
        let asked: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
        assert_ne!(ids, asked);
        ids.sort_by_key(|id| id[1..].parse::<u32>().unwrap());
        assert_eq!(ids, asked);
        assert!(derived.errors.is_empty());
    }

    #[test]
    fn refused_requests_stand_in_the_error_file_with_their_status() {
        let derived = play(3, json!({ "lines": { "r0": 400, "r2": 429 } }));
        assert_eq!((derived.completed, derived.failed), (1, 2));
        let errors = parsed(&derived.errors);
        let mut statuses: Vec<u64> =
            errors.iter().map(|line| line["response"]["status_code"].as_u64().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [400, 429]);
        assert!(errors.iter().all(|line| line["error"].is_null() && line["response"]["body"]["error"].is_object()));
    }

    #[test]
    fn an_unexecuted_request_has_an_error_and_no_response() {
        let derived = play(2, json!({ "default": "batch_expired", "lines": { "r0": 200 } }));
        let errors = parsed(&derived.errors);
        assert_eq!(errors[0]["custom_id"], "r1");
        assert_eq!(errors[0]["error"]["code"], "batch_expired");
        assert!(errors[0]["response"].is_null());
    }

    #[test]
    fn a_malformed_line_is_not_json() {
        let derived = play(1, json!({ "lines": { "r0": "malformed" } }));
        assert!(serde_json::from_slice::<Value>(&derived.output).is_err());
        assert_eq!(derived.completed, 1);
    }

    #[test]
    fn a_missing_line_is_in_neither_file_and_counts_nowhere() {
        let derived = play(1, json!({ "default": "missing" }));
        assert!(derived.output.is_empty() && derived.errors.is_empty());
        assert_eq!((derived.completed, derived.failed), (0, 0));
    }

    #[test]
    fn usage_is_the_sum_of_the_lines() {
        let derived = play(4, json!({ "lines": { "r1": 500 } }));
        let sum = |field| parsed(&derived.output).iter().map(|line| tokens(line, field)).sum::<u64>();
        let usage = derived.usage.to_json();
        for field in ["input_tokens", "output_tokens", "total_tokens"] {
            assert_eq!(usage[field], sum(field), "{field}");
        }
        assert!(usage["total_tokens"].as_u64().unwrap() > 0);
    }

    fn tokens(line: &Value, field: &str) -> u64 {
        line["response"]["body"]["usage"][field].as_u64().unwrap()
    }

    #[test]
    fn a_plan_for_a_line_that_is_not_there_is_refused() {
        let plan = serde_json::from_value(json!({ "lines": { "r9": 400 } })).unwrap();
        assert!(derive(&input(1), "/v1/responses", &plan).unwrap_err().contains("r9"));
    }
}
