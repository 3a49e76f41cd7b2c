//! Output of a command: its result on stdout, everything else on stderr.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Serialize, Serializer};

use crate::error::{CliError, Exit, Result};
use crate::paint::{Paint, paint, shown};
use crate::{capture, hints};

/// Output of a command. With `json`, results are one JSON document, or one on each line where there are many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

/// Options of every command that destroys something.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ConfirmArgs {
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Answer to a request for confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Confirmed.
    Proceed,
    /// `--dry-run`: report what would be done.
    DryRun,
    /// Declined.
    Declined,
}

#[expect(clippy::unused_self, reason = "all output goes through this type")]
impl Output {
    /// Prints the result of a command that succeeded: `document` as JSON, or `text` for people. Nothing is printed for an empty text.
    pub(crate) fn result(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result {
        let text = if self.json {
            let text = serde_json::to_value(document).and_then(|mut document| {
                hints::complete_json(&mut document);
                serde_json::to_string_pretty(&document)
            });
            let text = text.map_err(|error| CliError::failed(format!("cannot write the result as JSON: {error}")))?;
            hooks_text::json(&text).into_owned()
        } else {
            shown(&hints::complete(&text()))
        };
        if text.is_empty() { Ok(Exit::Success) } else { self.raw(format!("{}\n", text.trim_end()).as_bytes()) }
    }

    /// Prints many results: as JSON one document on each line, or `text` for people.
    pub(crate) fn lines<T: Serialize>(self, documents: &[T], text: impl FnOnce() -> String) -> Result {
        if !self.json {
            return self.result(&(), text);
        }
        capture::take(|captured| captured.is_lines = true);
        for document in documents {
            self.line(document)?;
        }
        Ok(Exit::Success)
    }

    /// Says that there are more results than were printed.
    pub(crate) fn more(self, hint: &str) {
        if capture::take(|captured| captured.more = true) {
            return;
        }
        if self.json {
            self.note(&serde_json::json!({"more": true, "hint": hint}).to_string());
        } else {
            self.note(&format!("There are more: {hint}"));
        }
    }

    /// Prints one document of many, as JSON on one line.
    pub(crate) fn line(self, document: &impl Serialize) -> Result {
        let line = serde_json::to_string(document);
        let line = line.map_err(|error| CliError::failed(format!("cannot write the result as JSON: {error}")))?;
        self.raw(format!("{}\n", hooks_text::json(&line)).as_bytes())
    }

    /// Writes a JSON text to stdout: unchanged to a file or a pipe, and safe to look at on a terminal.
    pub(crate) fn json_text(self, text: &str) -> Result {
        let text = if io::stdout().is_terminal() { hooks_text::json(text) } else { text.into() };
        self.raw(text.as_bytes())
    }

    /// Writes bytes to stdout unchanged. A reader that stops early (`| head`) is not an error.
    pub(crate) fn raw(self, bytes: &[u8]) -> Result {
        if capture::take(|captured| captured.bytes.extend_from_slice(bytes)) {
            return Ok(Exit::Success);
        }
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::failed(format!("cannot write the result: {error}")))
            }
            _ => Ok(Exit::Success),
        }
    }

    /// Prints a line on stderr.
    pub(crate) fn note(self, text: &str) {
        // A closed stderr has no reader.
        let _ = writeln!(io::stderr().lock(), "{}", shown(&hints::complete(text)));
    }

    /// Prints an error on stderr.
    pub(crate) fn error(self, error: &CliError) {
        if self.json {
            self.note(&hooks_text::json(&error.document().to_string()));
        } else {
            self.note(&format!("error: {error}"));
        }
    }

    /// Asks a yes-or-no question, such as "Delete `whe_1`?".
    pub(crate) fn confirm(self, args: ConfirmArgs, question: &str) -> Result<Decision> {
        if args.dry_run {
            return Ok(Decision::DryRun);
        }
        if args.yes {
            return Ok(Decision::Proceed);
        }
        if !is_interactive() {
            return Err(CliError::usage(format!("{question} Not a terminal; cannot ask for confirmation."))
                .hint("Add --yes to confirm, or --dry-run to see what would be done."));
        }
        let mut answer = String::new();
        let asked = write!(io::stderr().lock(), "{} [y/N] ", printable(question)).and_then(|()| io::stderr().flush());
        asked
            .and_then(|()| io::stdin().lock().read_line(&mut answer))
            .map_err(|error| CliError::usage(format!("cannot read the answer: {error}")))?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(Decision::Proceed);
        }
        self.note("Nothing was changed.");
        Ok(Decision::Declined)
    }

    /// A spinner. It is shown on a terminal only, and removed when dropped.
    pub(crate) fn spinner(self, message: impl Into<String>) -> ProgressBar {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_message(message.into());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// A bar of `total` steps. It is shown on a terminal only, and removed when dropped.
    pub(crate) fn bar(self, message: impl Into<String>, total: u64) -> ProgressBar {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new(total) };
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(message.into());
        bar.tick();
        bar
    }
}

/// Whether a person can be asked.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Rows in aligned columns below their headings, or, on a terminal that is too narrow for them, each row's cells below one
/// another. No cell is cut, since ids are to be copied. Control characters are escaped.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let width = console::Term::stdout().size_checked().map(|(_, columns)| columns.into());
    table_within(width.filter(|_| io::stdout().is_terminal()), headings, rows)
}

fn table_within<const N: usize>(width: Option<usize>, headings: [&str; N], rows: &[[String; N]]) -> String {
    let cells = |row: &[String; N]| row.each_ref().map(|cell| printable(cell));
    let lines: Vec<_> = std::iter::once(headings.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let widest = |column: usize| lines.iter().map(|line| console::measure_text_width(&line[column])).max();
    let widths: [usize; N] = std::array::from_fn(|column| widest(column).unwrap_or_default());
    let needed = widths.iter().sum::<usize>() + 2 * N.saturating_sub(1);
    if width.is_some_and(|width| needed > width) {
        let row =
            |line: &[String; N]| key_values(&std::array::from_fn::<_, N, _>(|at| (headings[at], line[at].clone())));
        return lines.iter().skip(1).map(row).collect::<Vec<_>>().join("\n");
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let row = line.iter().zip(widths).fold(String::new(), |mut row, (cell, width)| {
            let pad = width.saturating_sub(console::measure_text_width(cell));
            let _ = write!(row, "{cell}{:pad$}  ", "");
            row
        });
        let _ = writeln!(text, "{}", row.trim_end());
        text
    })
}

/// Checks in aligned columns: mark, name, detail, and below it the fix.
pub(crate) fn checklist(marks: usize, rows: &[(&str, &str, &str, &Option<String>)]) -> String {
    let names = rows.iter().map(|(_, name, ..)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (mark, name, detail, fix)| {
        let coloured = match *mark {
            "ok" | "pass" => paint(format!("{mark:marks$}"), Paint::Green),
            "warn" => paint(format!("{mark:marks$}"), Paint::Yellow),
            "ERROR" | "FAIL" => paint(format!("{mark:marks$}"), Paint::Red),
            _ => format!("{mark:marks$}"),
        };
        let line = format!("{coloured}  {name:names$}  {}", printable(detail));
        let _ = writeln!(text, "{}", line.trim_end());
        if let Some(fix) = fix {
            let _ = writeln!(text, "{:marks$}  {:names$}  -> {fix}", "", "");
        }
        text
    })
}

/// Names and values in two columns.
pub(crate) fn key_values(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {}", printable(value));
        text
    })
}

/// The text as one line, with every character escaped that could move the cursor, colour the terminal or turn the text.
pub(crate) fn printable(text: &str) -> String {
    hooks_text::line(text).into_owned()
}

/// Serializes a value as it is shown.
pub(crate) fn display<S: Serializer>(value: &impl Display, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The text as one word of a shell.
pub(crate) fn shell_word(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A count with its noun: `1 event`, `3 events`.
pub(crate) fn counted(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Number of each of the words: `12 unauthorized, 1 none`.
pub(crate) fn tally<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::<&str, u64>::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// The text, or a dash.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_wider_than_the_terminal_has_its_cells_below_one_another() {
        let rows = [["wh_1".to_owned(), "completed".to_owned()], ["wh_2".to_owned(), "failed".to_owned()]];
        assert_eq!(table_within(Some(15), ["ID", "STATE"], &rows), "ID    STATE\nwh_1  completed\nwh_2  failed\n");
        let narrow = table_within(Some(14), ["ID", "STATE"], &rows);
        assert_eq!(narrow, "ID     wh_1\nSTATE  completed\n\nID     wh_2\nSTATE  failed\n");
    }

    #[test]
    fn a_table_is_aligned_and_escapes_control_characters() {
        let rows = [["a".to_owned(), "b\u{1b}[2J".to_owned()], ["longer".to_owned(), "c".to_owned()]];
        assert_eq!(table(["ONE", "TWO"], &rows), "ONE     TWO\na       b\\u{1b}[2J\nlonger  c\n");
    }
}
