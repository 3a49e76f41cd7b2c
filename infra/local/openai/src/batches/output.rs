//! A batch's output and error files, derived from its input line by line.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::object::Usage;
use super::replies::reply;
use crate::errors::ApiError;
use crate::files::{Content, lines_of};
use crate::ids::hex_id;

/// What becomes of each input line: by `custom_id`, and otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    #[serde(default)]
    default: Outcome,
    #[serde(default)]
    lines: BTreeMap<String, Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Outcome {
    /// Answered with this status: below 400 in the output file, else in the error file.
    Status(u16),
    Other(Other),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Other {
    /// The window ended first.
    BatchExpired,
    /// The batch was cancelled first.
    BatchCancelled,
    /// The model didn't answer.
    RequestTimeout,
    /// A success whose line in the output file is no JSON.
    Malformed,
    /// In neither file.
    Missing,
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Status(200)
    }
}

#[derive(Debug)]
pub(super) struct Derived {
    pub(super) output: Bytes,
    pub(super) errors: Bytes,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
}

/// One line of the input. Anything else in it goes unread.
#[derive(Debug, Deserialize)]
struct Request {
    custom_id: String,
    #[serde(default)]
    body: Value,
}

/// One line of an output or error file.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<Answer>,
    error: Option<LineError>,
}

#[derive(Debug, Serialize)]
struct Answer {
    status_code: u16,
    request_id: String,
    body: Value,
}

#[derive(Debug, Serialize)]
struct LineError {
    code: &'static str,
    message: &'static str,
}

/// Plays the batch. The order of the lines is shuffled, since OpenAI promises none.
pub(super) fn derive(input: &Content, endpoint: &str, plan: &Plan) -> Result<Derived, String> {
    let requests = parse(input)?;
    let ids: BTreeSet<&str> = requests.iter().map(|request| request.custom_id.as_str()).collect();
    if let Some(stranger) = plan.lines.keys().find(|id| !ids.contains(id.as_str())) {
        return Err(format!("the plan names {stranger:?}, which is no custom_id of the input file"));
    }

    let model = requests.first().and_then(|request| request.body["model"].as_str()).map(str::to_owned);
    let (mut output, mut errors, mut usage) = (Vec::new(), Vec::new(), Usage::default());
    let (mut completed, mut failed) = (0, 0);
    for request in &requests {
        let outcome = plan.lines.get(&request.custom_id).copied().unwrap_or(plan.default);
        match outcome {
            Outcome::Status(status) if status >= 400 => {
                failed += 1;
                errors.push(refused(request, status).to_json()?);
            }
            Outcome::Status(status) => {
                completed += 1;
                output.push(answered(request, status, endpoint, &mut usage).to_json()?);
            }
            Outcome::Other(Other::Malformed) => {
                completed += 1;
                let mut line = answered(request, 200, endpoint, &mut usage).to_json()?;
                line.truncate(line.len() / 2);
                output.push(line);
            }
            Outcome::Other(Other::Missing) => {}
            Outcome::Other(other) => {
                failed += 1;
                errors.push(unexecuted(request, other).to_json()?);
            }
        }
    }
    Ok(Derived { output: shuffled(output), errors: shuffled(errors), completed, failed, usage, model })
}

fn parse(input: &Content) -> Result<Vec<Request>, String> {
    let Content::Stored(bytes) = input else {
        return Err("nothing can be derived from a generated input file; name output_file_id or error_file_id".into());
    };
    lines_of(bytes)
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_slice(line)
                .map_err(|error| format!("request {} of the input file can't be played: {error}", index + 1))
        })
        .collect()
}

fn answered<'a>(request: &'a Request, status: u16, endpoint: &str, usage: &mut Usage) -> Line<'a> {
    let reply = reply(endpoint, &request.body);
    usage.add(reply.input_tokens, reply.output_tokens);
    Line::response(request, status, reply.body)
}

fn refused(request: &Request, status: u16) -> Line<'_> {
    let code = axum::http::StatusCode::from_u16(status).unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    Line::response(request, status, ApiError::of_status(code).to_json())
}

fn unexecuted(request: &Request, why: Other) -> Line<'_> {
    let error = match why {
        Other::BatchCancelled => LineError {
            code: "batch_cancelled",
            message: "This request was not executed because the batch was cancelled.",
        },
        Other::RequestTimeout => {
            LineError { code: "request_timeout", message: "The underlying call to the model timed out." }
        }
        Other::BatchExpired | Other::Malformed | Other::Missing => LineError {
            code: "batch_expired",
            message: "This request could not be executed before the completion window expired.",
        },
    };
    Line { id: hex_id("batch_req_"), custom_id: &request.custom_id, response: None, error: Some(error) }
}

impl<'a> Line<'a> {
    fn response(request: &'a Request, status_code: u16, body: Value) -> Self {
        let answer = Answer { status_code, request_id: hex_id(""), body };
        Self { id: hex_id("batch_req_"), custom_id: &request.custom_id, response: Some(answer), error: None }
    }

    fn to_json(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }
}

fn shuffled(mut lines: Vec<Vec<u8>>) -> Bytes {
    fastrand::shuffle(&mut lines);
    let mut bytes = BytesMut::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
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
    fn a_malformed_line_is_no_json() {
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
        assert_eq!(derived.usage.input_tokens, sum("input_tokens"));
        assert_eq!(derived.usage.output_tokens, sum("output_tokens"));
        assert_eq!(derived.usage.total_tokens, sum("total_tokens"));
        assert!(derived.usage.total_tokens > 0);
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
