//! The latest answer to each request of a batch, over all its retries.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use hooks_openai::{Json, read_error};

use super::lines::Line;
use super::work_folder::WorkFolder;
use super::{Family, Sources};
use crate::error::{OperateError, Result};

/// Code of a request without any line.
pub const MISSING: &str = "missing";

/// Code of lines that are not results. They are counted, and their requests are missing.
pub const UNREADABLE: &str = "unreadable";

/// Longest error code, in characters.
const MAX_CODE: usize = 100;

/// Numbers of requests without an answer, by error code.
pub type CodeCounts = BTreeMap<String, u64>;

/// The latest answer to each request, by `custom_id`. The lines themselves are in a file of a folder that only this user can
/// read, which is removed in the end.
pub struct Answers {
    by_id: HashMap<String, Answer>,
    /// Number of lines that are not results.
    pub unreadable: u64,
    file: File,
    _folder: WorkFolder,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Position of its batch in the family.
    pub(super) batch: usize,
    /// Error code of a request that failed.
    pub(super) failure: Option<String>,
    offset: u64,
    length: usize,
}

impl Answers {
    /// Reads the result files of all batches of the family that have ended. `progress` gets the number of lines read.
    ///
    /// A later answer replaces an earlier one, but no failure replaces a success.
    pub async fn read(sources: &Sources, family: &Family, mut progress: impl FnMut(u64)) -> Result<Self> {
        let folder = WorkFolder::new()?;
        let file = folder.file("answers.jsonl")?;
        let mut answers = Self { by_id: HashMap::new(), unreadable: 0, file, _folder: folder };
        let (mut offset, mut read) = (0, 0);
        for (at, batch) in family.all().enumerate() {
            if !batch.status.is_terminal() {
                continue;
            }
            for name in ["output.jsonl", "errors.jsonl"] {
                let Some(mut lines) = sources.results(batch, name).await? else { continue };
                while let Some(line) = lines.next().await? {
                    read += 1;
                    progress(read);
                    let Line::Text(line) = line else {
                        answers.unreadable += 1;
                        continue;
                    };
                    let Some((id, failure)) = judge(&line) else {
                        answers.unreadable += 1;
                        continue;
                    };
                    let is_worse =
                        failure.is_some() && answers.by_id.get(&id).is_some_and(|before| before.failure.is_none());
                    if !is_worse {
                        answers.file.write_all(&line).map_err(WorkFolder::unwritable)?;
                        let answer = Answer { batch: at, failure, offset, length: line.len() };
                        offset += line.len() as u64;
                        answers.by_id.insert(id, answer);
                    }
                }
            }
        }
        Ok(answers)
    }

    pub(super) fn get(&self, custom_id: &str) -> Option<&Answer> {
        self.by_id.get(custom_id)
    }

    /// The line of an answer.
    pub(super) fn line(&mut self, answer: &Answer) -> Result<Vec<u8>> {
        let mut line = vec![0; answer.length];
        let read = self.file.seek(SeekFrom::Start(answer.offset)).and_then(|_| self.file.read_exact(&mut line));
        read.map_err(WorkFolder::unwritable)?;
        Ok(line)
    }

    /// Why a request has no answer that can be used: an error code, or [`MISSING`]. `None` if it has one.
    pub(super) fn failure(&self, custom_id: &str) -> Option<&str> {
        match self.by_id.get(custom_id) {
            Some(answer) => answer.failure.as_deref(),
            None => Some(MISSING),
        }
    }
}

/// The `custom_id` of a result line, and the error code of a request that failed. `None` if it is not a result.
///
/// The rules are those of the batch consumer's counts.
fn judge(line: &[u8]) -> Option<(String, Option<String>)> {
    let [custom_id, response, error] = Json::parse(line)?.pick(["custom_id", "response", "error"]);
    let id = custom_id?.string()?.into_owned();
    let [response, error] = [response, error].map(|part| part.filter(|part| part.is_object()));
    if response.is_none() && error.is_none() {
        return None;
    }
    let [status, body] = response.map(|response| response.pick(["status_code", "body"])).unwrap_or_default();
    let status = status.and_then(Json::count);
    let of_body = body.and_then(|body| body.get("error"));
    let error = read_error(error).or_else(|| read_error(of_body));
    if error.is_none() && status.is_some_and(|status| (200..300).contains(&status)) {
        return Some((id, None));
    }
    let code = error.and_then(|(code, _)| code).or_else(|| Some(format!("http_{}", status?)));
    let code = code.unwrap_or_else(|| "unknown".to_owned());
    Some((id, Some(code.chars().filter(|character| !character.is_control()).take(MAX_CODE).collect())))
}

/// The `custom_id` of a request.
pub(super) fn custom_id(line: &[u8]) -> Result<String> {
    let id = Json::parse(line).and_then(|request| request.get("custom_id")?.string().map(std::borrow::Cow::into_owned));
    id.ok_or_else(|| {
        OperateError::failed("the input file has a line without a custom_id, so its requests cannot be told apart")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_success_a_failure_with_its_code_or_nothing() {
        let cases: [(&str, Option<Option<&str>>); 9] = [
            (r#"{"custom_id":"a","response":{"status_code":200,"body":{}},"error":null}"#, Some(None)),
            (
                r#"{"custom_id":"a","response":{"status_code":429,"body":{"error":{"code":"rate_limit_exceeded"}}}}"#,
                Some(Some("rate_limit_exceeded")),
            ),
            (
                r#"{"custom_id":"a","response":null,"error":{"code":"batch_expired","message":"m"}}"#,
                Some(Some("batch_expired")),
            ),
            (r#"{"custom_id":"a","response":{"status_code":500,"body":"x"}}"#, Some(Some("http_500"))),
            (r#"{"custom_id":"a","response":{"body":{}}}"#, Some(Some("unknown"))),
            (r#"{"custom_id":"a","response":null,"error":null}"#, None),
            (r#"{"response":{"status_code":200}}"#, None),
            (r#"{"custom_id": "#, None),
            ("[]", None),
        ];
        for (line, expected) in cases {
            let judged = judge(line.as_bytes());
            let judged = judged.as_ref().map(|(_, failure)| failure.as_deref());
            assert_eq!(judged, expected, "{line}");
        }
    }
}
