//! Requests and answers side by side, in the order of the input file.

use std::io::Write;

use hooks_openai::{Json, read_error};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answers::custom_id;
use super::lines::Line;
use super::{Answers, CodeCounts, Family, MISSING, Sources};
use crate::error::{OperateError, Result};

const CSV_HEADINGS: &str = "custom_id,status,batch_id,status_code,error_code,error_message,input,output\r\n";

/// Form of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFormat {
    /// One JSON object on each line.
    Jsonl,
    /// Comma-separated values with headings (RFC 4180), input and output as text. A cell that a spreadsheet would take for a
    /// formula begins with an apostrophe.
    Csv,
}

/// Numbers of requests by their answers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ResultCounts {
    /// All requests.
    pub total: u64,
    /// Requests with an answer.
    pub succeeded: u64,
    /// Requests without one, by error code.
    pub failed: CodeCounts,
    /// Lines of the result files that are not results.
    pub unreadable: u64,
    /// Batches that have not ended, whose answers are not there yet.
    pub under_way: Vec<String>,
}

/// A request with its answer.
#[derive(Serialize)]
struct Row {
    custom_id: String,
    /// `succeeded`, `failed` or `missing`.
    status: &'static str,
    /// The batch with the answer.
    batch_id: Option<String>,
    status_code: Option<u64>,
    error: Option<RowError>,
    /// Body of the request.
    request: Option<Box<RawValue>>,
    /// Body of the answer.
    response: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct RowError {
    code: Option<String>,
    message: Option<String>,
}

/// Writes each request of the batch once, with the latest answer of all retries.
pub async fn write_results(
    sources: &Sources,
    family: &Family,
    format: ResultFormat,
    to: &mut impl Write,
    progress: impl FnMut(u64),
) -> Result<ResultCounts> {
    let mut answers = Answers::read(sources, family, progress).await?;
    let ids: Vec<_> = family.all().map(|batch| batch.id.clone()).collect();
    let mut counts = ResultCounts {
        unreadable: answers.unreadable,
        under_way: family.under_way().map(|batch| batch.id.clone()).collect(),
        ..ResultCounts::default()
    };
    if format == ResultFormat::Csv {
        write(to, CSV_HEADINGS.as_bytes())?;
    }
    let mut input = sources.input(&family.root).await?;
    while let Some(line) = input.next().await? {
        let Line::Text(request) = line else {
            return Err(OperateError::failed("the input file has a line of more than 16 MiB"));
        };
        let id = custom_id(&request)?;
        let answer = answers.get(&id).cloned();
        let answered = match &answer {
            Some(answer) => Some(answers.line(answer)?),
            None => None,
        };
        counts.total += 1;
        match (&answer, answer.as_ref().and_then(|answer| answer.failure.clone())) {
            (Some(_), None) => counts.succeeded += 1,
            (Some(_), Some(code)) => *counts.failed.entry(code).or_default() += 1,
            (None, _) => *counts.failed.entry(MISSING.to_owned()).or_default() += 1,
        }
        let batch_id = answer.as_ref().and_then(|answer| ids.get(answer.batch).cloned());
        let status = match &answer {
            None => MISSING,
            Some(answer) if answer.failure.is_some() => "failed",
            Some(_) => "succeeded",
        };
        let row = Row::new(id, status, batch_id, &request, answered.as_deref());
        let text = match format {
            ResultFormat::Jsonl => serde_json::to_string(&row)
                .map(|text| text + "\n")
                .map_err(|error| OperateError::failed(format!("cannot write a result: {error}")))?,
            ResultFormat::Csv => row.csv(),
        };
        write(to, text.as_bytes())?;
    }
    to.flush().map_err(|error| OperateError::failed(format!("cannot write the results: {error}")))?;
    Ok(counts)
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).map_err(|error| OperateError::failed(format!("cannot write the results: {error}")))
}

impl Row {
    fn new(
        custom_id: String,
        status: &'static str,
        batch_id: Option<String>,
        request: &[u8],
        answer: Option<&[u8]>,
    ) -> Self {
        let [response, error] =
            answer.and_then(Json::parse).map(|answer| answer.pick(["response", "error"])).unwrap_or_default();
        let [status_code, body] = response.map(|response| response.pick(["status_code", "body"])).unwrap_or_default();
        let failed =
            (status == "failed").then(|| read_error(error).or_else(|| read_error(body?.get("error")))).flatten();
        Self {
            custom_id,
            status,
            batch_id,
            status_code: status_code.and_then(Json::count),
            error: failed.map(|(code, message)| RowError { code, message }),
            request: Json::parse(request).and_then(|request| request.get("body")?.exact()),
            response: body.and_then(Json::exact),
        }
    }

    fn csv(&self) -> String {
        let error = self.error.as_ref();
        let cells = [
            Some(self.custom_id.clone()),
            Some(self.status.to_owned()),
            self.batch_id.clone(),
            self.status_code.map(|status| status.to_string()),
            error.and_then(|error| error.code.clone()),
            error.and_then(|error| error.message.clone()),
            self.request.as_ref().map(|request| input_text(request.get())),
            self.response.as_ref().filter(|_| self.status == "succeeded").map(|response| output_text(response.get())),
        ];
        cells.map(|cell| csv_cell(&cell.unwrap_or_default())).join(",") + "\r\n"
    }
}

/// What was asked: the input or the last message if that is a text, else the whole body as JSON.
fn input_text(body: &str) -> String {
    let text = Json::parse(body.as_bytes()).and_then(|body| {
        let messages = body.get("messages").map(|messages| messages.items().last());
        let content = messages.flatten().and_then(|message| message.get("content"));
        body.get("input").or(content)?.string().map(std::borrow::Cow::into_owned)
    });
    text.unwrap_or_else(|| body.to_owned())
}

/// What was answered: the text of a response or of a chat completion, else the whole body as JSON.
fn output_text(body: &str) -> String {
    let parsed = Json::parse(body.as_bytes());
    let choice = parsed.and_then(|body| body.get("choices")?.items().next());
    let chat = choice.and_then(|choice| choice.at("/message/content")?.string());
    if let Some(text) = chat {
        return text.into_owned();
    }
    let output = parsed.and_then(|body| body.get("output"));
    let parts = output.into_iter().flat_map(Json::items).filter_map(|item| item.get("content")).flat_map(Json::items);
    let texts: Vec<_> = parts.filter_map(|part| part.get("text")?.string()).collect();
    if texts.is_empty() { body.to_owned() } else { texts.concat() }
}

/// A cell of a CSV file. A text that a spreadsheet would calculate gets an apostrophe before it.
fn csv_cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_is_never_a_formula() {
        for (text, cell) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\nnow", "\"say \"\"hi\"\"\nnow\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }

    #[test]
    fn texts_are_taken_from_the_shapes_of_each_endpoint() {
        assert_eq!(input_text(r#"{"model":"m","input":"Hello"}"#), "Hello");
        assert_eq!(input_text(r#"{"messages":[{"role":"system","content":"a"},{"role":"user","content":"b"}]}"#), "b");
        assert_eq!(input_text(r#"{"input":["a","b"]}"#), r#"{"input":["a","b"]}"#);
        let response =
            r#"{"output":[{"type":"reasoning"},{"content":[{"type":"output_text","text":"Good "},{"text":"day"}]}]}"#;
        assert_eq!(output_text(response), "Good day");
        assert_eq!(output_text(r#"{"choices":[{"message":{"content":"Hi"}}]}"#), "Hi");
        assert_eq!(output_text(r#"{"data":[{"embedding":[0.1]}]}"#), r#"{"data":[{"embedding":[0.1]}]}"#);
    }
}
