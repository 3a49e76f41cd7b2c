//! The transcript: written line by line as it comes, joined at the end.

use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{Ledger, TranscriptLine};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Number of lines that may wait to be written. Then the session waits, too.
const QUEUE: usize = 256;

/// Pause within which words of one side belong to one line, in milliseconds.
const PAUSE_MS: i64 = 1_500;

/// Writes lines in their order, while the session goes on.
pub(crate) struct TranscriptWriter {
    lines: mpsc::Sender<TranscriptLine>,
    task: JoinHandle<()>,
}

impl TranscriptWriter {
    /// A writer of the supervisor of this generation.
    pub(crate) fn start(ledger: Ledger, api: String, id: String, generation: u32) -> Self {
        let (lines, mut queue) = mpsc::channel::<TranscriptLine>(QUEUE);
        let task = tokio::spawn(async move {
            let mut order = 0;
            while let Some(line) = queue.recv().await {
                order += 1;
                if let Err(error) = ledger.write_line((&api, &id), &line, (generation, order)).await {
                    tracing::error!("{error}; a line of the transcript is lost");
                }
            }
        });
        Self { lines, task }
    }

    pub(crate) async fn write(&self, role: &str, text: &str, key: String) {
        let line = TranscriptLine { at: now_ms(), role: role.to_owned(), text: text.to_owned(), key };
        // It is closed only when its task has panicked.
        let _ = self.lines.send(line).await;
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(self) {
        drop(self.lines);
        let _ = self.task.await;
    }
}

/// The lines as JSON Lines. Words that one side said without a pause are one line: a Live session tells them in fragments,
/// and those of both sides may be mixed.
pub(crate) fn joined(lines: &[TranscriptLine]) -> String {
    let mut joined: Vec<(i64, i64, &str, String)> = Vec::new();
    for line in lines {
        // Both sides may speak at once.
        let of_side = joined.iter_mut().rev().find(|(_, _, role, _)| *role == line.role);
        match of_side {
            Some((_, last, _, text)) if line.key.starts_with("fragment/") && line.at - *last < PAUSE_MS => {
                text.push_str(&line.text);
                *last = line.at;
            }
            _ => joined.push((line.at, line.at, &line.role, line.text.clone())),
        }
    }
    let mut text = String::new();
    for (at, _, role, said) in joined {
        text.push_str(&json!({"at": at, "role": role, "text": said.trim()}).to_string());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn line(at: i64, role: &str, text: &str, key: &str) -> TranscriptLine {
        TranscriptLine { at, role: role.to_owned(), text: text.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn fragments_of_one_side_are_one_line_until_a_pause() {
        let text = joined(&[
            line(1000, "assistant", "Good ", "fragment/1"),
            line(1100, "caller", " Hi", "fragment/3"),
            line(1200, "assistant", "morning.", "fragment/2"),
            line(9000, "caller", "Anybody?", "fragment/4"),
            line(9100, "tool", "orders: done", "tool/1"),
            line(9200, "tool", "orders: done", "tool/2"),
        ]);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<_> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(said, ["Good morning.", "Hi", "Anybody?", "orders: done", "orders: done"]);
        assert_eq!(lines[0]["at"], 1000);
    }

    #[test]
    fn whole_utterances_stay_apart() {
        let text = joined(&[line(1000, "caller", "One.", "item_1"), line(1100, "caller", "Two.", "item_2")]);
        assert_eq!(text.lines().count(), 2);
        assert!(joined(&[]).is_empty());
    }
}
