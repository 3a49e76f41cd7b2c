//! Lines of a batch, from the results that are kept, and the input of one from OpenAI.

use hooks_aws::artifacts::Key;
use maud::{Markup, html};
use serde_json::Value;

use super::Seen;
use super::batch::{side, unread};
use super::batches::address;
use crate::console::Console;
use crate::data::batches::BatchView;
use crate::view::format::{bytes, count};
use crate::view::parts::{MAX_TEXT, labelled};
use crate::{Failure, Result};

/// Lines that are listed.
const SHOWN: usize = 20;

/// Bytes of a file that are searched. A page waits for it.
const MAX_SEARCHED: usize = 32 * 1024 * 1024;

/// A line of the results.
pub(super) struct Line {
    custom_id: String,
    /// `succeeded`, `failed` or `malformed`.
    result: &'static str,
    status: Option<u64>,
    code: String,
    text: String,
}

/// Lines that were found.
pub(super) struct Lines {
    failed_only: bool,
    custom_id: Option<String>,
    shown: Vec<Line>,
    /// The line of the input with the `custom_id`.
    input: Option<String>,
    /// Whether a file was longer than what was searched.
    cut: bool,
}

/// Reads the first lines, or the one with a `custom_id`.
pub(super) async fn read(console: &Console, id: &str, tab: Option<&str>, custom_id: Option<&str>) -> Result<Lines> {
    let failed_only = tab == Some("failed");
    let mut lines =
        Lines { failed_only, custom_id: custom_id.map(str::to_owned), shown: Vec::new(), input: None, cut: false };
    let files = if failed_only { ["errors.jsonl", "output.jsonl"] } else { ["output.jsonl", "errors.jsonl"] };
    for file in files {
        if lines.shown.len() >= SHOWN || (custom_id.is_some() && !lines.shown.is_empty()) {
            break;
        }
        scan(console, id, file, &mut lines).await?;
    }
    if let Some(custom_id) = custom_id.filter(|_| !lines.shown.is_empty()) {
        lines.input = input(console, id, custom_id).await.unwrap_or_default();
    }
    Ok(lines)
}

async fn scan(console: &Console, id: &str, file: &str, lines: &mut Lines) -> Result<()> {
    let key = Key::new(&["batch", id, file]).map_err(|error| Failure::usage(error.to_string()))?;
    let Some(mut reader) = console.artifacts.open(&key).await? else { return Ok(()) };
    let (mut rest, mut searched) = (Vec::new(), 0);
    while let Some(chunk) = reader.chunk().await? {
        searched += chunk.len();
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let text: Vec<u8> = rest.drain(..=end).collect();
            if take(&text, lines) {
                return Ok(());
            }
        }
        if searched >= MAX_SEARCHED {
            lines.cut = true;
            return Ok(());
        }
    }
    take(&rest, lines);
    Ok(())
}

/// Takes a line if it is asked for. `true` when there are enough.
fn take(text: &[u8], lines: &mut Lines) -> bool {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    if text.is_empty() {
        return false;
    }
    // Reading all JSON of a large file takes longer than looking for the id first.
    let is_plain = |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    if lines.custom_id.as_ref().is_some_and(|id| is_plain(id) && !text.contains(id.as_str())) {
        return false;
    }
    let line = Line::read(text);
    let wanted = match &lines.custom_id {
        Some(id) => line.custom_id == *id,
        None => !lines.failed_only || line.result != "succeeded",
    };
    if wanted {
        lines.shown.push(line);
    }
    lines.shown.len() >= SHOWN || (wanted && lines.custom_id.is_some())
}

impl Line {
    fn read(text: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            let text = text.to_owned();
            return Self {
                custom_id: String::new(),
                result: "malformed",
                status: None,
                code: "no JSON".to_owned(),
                text,
            };
        };
        let status = value.pointer("/response/status_code").and_then(Value::as_u64);
        let error = ["/error/code", "/response/body/error/code", "/response/body/error/type"];
        let code = error.iter().find_map(|path| value.pointer(path)?.as_str()).unwrap_or_default().to_owned();
        let succeeded =
            status.is_some_and(|status| (200..300).contains(&status)) && value.get("error").is_none_or(Value::is_null);
        Self {
            custom_id: value.get("custom_id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            result: if succeeded { "succeeded" } else { "failed" },
            status,
            code,
            text: text.to_owned(),
        }
    }
}

/// The line of the input file, from OpenAI, which keeps it.
async fn input(console: &Console, id: &str, custom_id: &str) -> Result<Option<String>> {
    let batch = console.batch(id).await?;
    let Some(file) = &batch.input_file_id else { return Ok(None) };
    let mut content = console.openai().await?.file_content(file, Console::deadline()).await?;
    let (mut rest, mut searched) = (Vec::new(), 0);
    let is_it = |line: &[u8]| {
        let value = serde_json::from_slice::<Value>(line).ok()?;
        (value.get("custom_id")?.as_str()? == custom_id).then(|| String::from_utf8_lossy(line).into_owned())
    };
    while let Some(chunk) = content.chunk().await? {
        searched += chunk.len();
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if let Some(found) = is_it(&line) {
                return Ok(Some(found));
            }
        }
        if searched >= MAX_SEARCHED {
            return Ok(None);
        }
    }
    Ok(is_it(&rest))
}

pub(super) fn section(view: &BatchView, seen: &Seen, lines: &Result<Lines>) -> Markup {
    let here = address(&view.id);
    let tab = seen.get("lines");
    html! {
        section #lines {
            div.heading { h2 { "Lines" } span.aside { "as they are kept" } }
            nav.tabs aria-label="Which lines" {
                a href={ (here) "#lines" } aria-current=[(tab.is_none() && seen.get("custom_id").is_none()).then_some("page")] { "First " (SHOWN) }
                a href={ (here) "?lines=failed#lines" } aria-current=[(tab == Some("failed")).then_some("page")] { "Failed or malformed" }
            }
            form.line.note role="search" aria-label="Lines of this batch" action={ (here) "#lines" } {
                label for="custom-id" { "custom_id" }
                input.short #custom-id name="custom_id" type="search" value=[seen.get("custom_id")] maxlength="512" placeholder="request-1";
                button.button { "Find" }
            }
            @match lines {
                Err(failure) => (unread(failure)),
                Ok(lines) => { (table(&here, lines)) (one(lines)) }
            }
        }
    }
}

/// Address of a line below the page of its batch.
pub(super) fn line_address(here: &str, custom_id: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("custom_id", custom_id).finish();
    format!("{here}?{query}#lines")
}

fn table(here: &str, lines: &Lines) -> Markup {
    let address = |id: &str| line_address(here, id);
    html! {
        @if lines.shown.is_empty() {
            p.note { "No such line" @if lines.cut { " in the first " (bytes(MAX_SEARCHED as u64)) } "." }
        } @else {
            div.scroll { table.stack data-rows {
                caption.unseen { "Lines" }
                thead { tr { th scope="col" { "custom_id" } th scope="col" { "Result" } th.number scope="col" { "Status" } th scope="col" { "Error" } th.number scope="col" { "Size" } } }
                tbody { @for line in &lines.shown { tr {
                    th scope="row" { a.id href=(address(&line.custom_id)) { bdi { (line.custom_id) } @if line.custom_id.is_empty() { "(none)" } } }
                    td.end { (labelled(if line.result == "succeeded" { "done" } else if line.result == "failed" { "failed" } else { "wait" }, line.result)) }
                    td.number.beside { @if let Some(status) = line.status { (status) } }
                    td { code { bdi { (line.code) } } }
                    td.number.wide { (count(line.text.len() as u64)) }
                } } }
            } }
        }
    }
}

/// One line: what was asked beside what was answered.
fn one(lines: &Lines) -> Markup {
    let (Some(custom_id), Some(line)) = (&lines.custom_id, lines.shown.first()) else { return html! {} };
    let cut = line.text.char_indices().nth(MAX_TEXT).map_or(line.text.len(), |(at, _)| at);
    html! {
        h3.note { code { bdi { (custom_id) } } }
        div.pair {
            (side("Input", lines.input.as_deref()))
            (side("Output", Some(&line.text[..cut])))
        }
    }
}
