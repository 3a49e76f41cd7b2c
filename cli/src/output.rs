//! What a command says: results on stdout, everything else on stderr.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

/// Where a command's words go. With `json`, results are one JSON document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

/// The options of every command that destroys something.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What becomes of something that needs consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Do it.
    Go,
    /// `--dry-run`: say what would be done.
    Rehearse,
    /// The person said no.
    Stop,
}

#[expect(clippy::unused_self, reason = "whatever is said goes through an output")]
impl Output {
    /// A command's result: `document` as JSON, or `text` for people. A text without a line is not printed.
    pub(crate) fn result(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = if self.json {
            let text = serde_json::to_string_pretty(document);
            text.map_err(|error| Failure::no(format!("the result cannot be written as JSON: {error}")))?
        } else {
            text()
        };
        if text.is_empty() { Ok(()) } else { self.raw(format!("{}\n", text.trim_end()).as_bytes()) }
    }

    /// Bytes to stdout as they are. Whoever reads them may stop early (`| head`).
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::no(format!("cannot write the result: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// A remark, on stderr.
    pub(crate) fn note(self, text: &str) {
        // With stderr gone there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A failure, on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            self.note(&json!({ "error": failure.message, "hint": failure.hint }).to_string());
        } else {
            self.note(&format!("error: {failure}"));
        }
    }

    /// Asks for consent to what `question` says, such as "Delete `whe_1`?".
    pub(crate) fn consent(self, consent: Consent, question: &str) -> Result<Decision, Failure> {
        if consent.dry_run {
            return Ok(Decision::Rehearse);
        }
        if consent.yes {
            return Ok(Decision::Go);
        }
        if !is_interactive() {
            return Err(Failure::usage(format!("{question} Nobody is there to ask."))
                .hint("Add --yes to do it, or --dry-run to see what would be done."));
        }
        let mut answer = String::new();
        let asked = write!(io::stderr().lock(), "{question} [y/N] ").and_then(|()| io::stderr().flush());
        asked
            .and_then(|()| io::stdin().lock().read_line(&mut answer))
            .map_err(|error| Failure::usage(format!("cannot read the answer: {error}")))?;
        Ok(if matches!(answer.trim(), "y" | "Y" | "yes") { Decision::Go } else { Decision::Stop })
    }

    /// A spinner for what takes a moment. It shows on a terminal only, and is gone when dropped.
    pub(crate) fn spinner(self, message: impl Into<String>) -> Progress {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_message(message.into());
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }

    /// A bar for `total` steps. It shows on a terminal only, and is gone when dropped.
    pub(crate) fn bar(self, message: impl Into<String>, total: u64) -> Progress {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new(total) };
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(message.into());
        bar.tick();
        Progress(bar)
    }
}

/// What shows that something goes on.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// One more step.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Of so many steps.
    pub(crate) fn of(&self, total: u64) {
        self.0.set_length(total);
    }

    /// So many steps in all.
    pub(crate) fn at(&self, position: u64) {
        self.0.set_position(position);
    }

    /// What it says.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Whether a person is there to be asked.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Rows in aligned columns under their headings. Control characters of what others sent are shown, not obeyed.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let shown: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| visible(cell))).collect();
    let headings = headings.map(str::to_owned);
    let lines = || std::iter::once(&headings).chain(&shown);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(console::measure_text_width(cell));
        }
    }
    let mut text = String::new();
    for line in lines() {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let pad = width.saturating_sub(console::measure_text_width(cell));
            let _ = write!(row, "{cell}{:pad$}  ", "");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values in two columns.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {}", visible(value));
        text
    })
}

/// The text with its control characters written out, so that nothing in it moves the cursor or colours the terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_obeys_no_control_character() {
        let rows = [["a".to_owned(), "b\u{1b}[2J".to_owned()], ["longer".to_owned(), "c".to_owned()]];
        assert_eq!(table(["ONE", "TWO"], &rows), "ONE     TWO\na       b\\u{1b}[2J\nlonger  c\n");
    }
}
