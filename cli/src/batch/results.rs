//! Download of a batch's results into a folder, from the stack's bucket or from OpenAI.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_aws::artifacts::{Artifacts, GetResult, Key};
use hooks_openai::{Batch, Client, Json};
use indicatif::ProgressBar;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::error::{CliError, Result};

const OUTPUT: &str = "output.jsonl";
const ERRORS: &str = "errors.jsonl";
const SUMMARY: &str = "summary.json";

/// Maximum size of a summary, which has counts only.
const MAX_SUMMARY: usize = 16 * 1024 * 1024;

/// Time limit for the stack to store the results after the batch has ended. OpenAI's event comes within seconds, and the
/// consumer has 15 minutes.
const STORED_TIMEOUT: Duration = Duration::from_mins(20);

/// Interval of requests to the bucket.
const STORED_INTERVAL: Duration = Duration::from_secs(2);

/// Time limit of a download. It ends much sooner if no data arrives.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(6);

/// What was downloaded.
pub(super) struct Fetched {
    /// The names of the files.
    pub(super) files: Vec<&'static str>,
    pub(super) counts: Counts,
}

/// The numbers of a batch's requests by the lines of its files.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) total: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) unreadable: u64,
    pub(super) missing: u64,
}

impl Counts {
    /// From the stack's summary.
    fn read(json: Json<'_>) -> Self {
        let count = |name| json.get(name).and_then(Json::count).unwrap_or_default();
        Self {
            total: count("total"),
            succeeded: count("succeeded"),
            failed: count("failed"),
            unreadable: count("unreadable"),
            missing: count("missing"),
        }
    }

    fn of_lines(batch: &Batch, succeeded: u64, failed: u64) -> Self {
        let by_openai = batch.request_counts.unwrap_or_default();
        let lines = succeeded + failed;
        let missing = (by_openai.completed + by_openai.failed).saturating_sub(lines);
        Self { total: by_openai.total.max(lines), succeeded, failed, unreadable: 0, missing }
    }

    /// Whether every request has a result that can be used.
    pub(super) const fn is_complete(self) -> bool {
        self.failed + self.unreadable + self.missing == 0
    }
}

/// The results of a batch, and their folder.
pub(super) struct Results {
    id: String,
    folder: PathBuf,
}

impl Results {
    pub(super) const fn new(id: String, folder: PathBuf) -> Self {
        Self { id, folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits for the stack to store the results, and downloads them. The stack stores the summary last.
    pub(super) async fn fetch_from_stack(&self, bucket: &str, context: &Context) -> Result<Fetched> {
        let artifacts = Artifacts::new(context.aws().await?, bucket);
        let spinner = context.out.spinner("Waiting for the stack to store the results");
        let summary = self.stored_summary(&artifacts).await?;
        let mut files = Vec::new();
        for name in [OUTPUT, ERRORS] {
            if let Some(mut object) = artifacts.open(&self.key(name)?).await? {
                self.save(name, &spinner, async || Ok(object.chunk().await?)).await?;
                files.push(name);
            }
        }
        let counts = Json::of(&summary).get("counts").map(Counts::read).unwrap_or_default();
        let mut summary = Some(summary);
        self.save(SUMMARY, &spinner, async || Ok(summary.take())).await?;
        files.push(SUMMARY);
        Ok(Fetched { files, counts })
    }

    /// Downloads OpenAI's files. The summary is the batch object.
    pub(super) async fn fetch_from_openai(&self, openai: &Client, batch: &Batch, context: &Context) -> Result<Fetched> {
        let spinner = context.out.spinner("Fetching the results");
        let until = Instant::now() + DOWNLOAD_TIMEOUT;
        let (mut files, mut lines) = (Vec::new(), [0, 0]);
        for (index, (name, file_id)) in
            [(OUTPUT, &batch.output_file_id), (ERRORS, &batch.error_file_id)].into_iter().enumerate()
        {
            if let Some(file_id) = file_id {
                let mut source = openai.file_content(file_id, until).await?;
                lines[index] = self.save(name, &spinner, async || Ok(source.chunk().await?)).await?;
                files.push(name);
            }
        }
        let mut summary = Some(&batch.json);
        self.save(SUMMARY, &spinner, async || Ok(summary.take())).await?;
        files.push(SUMMARY);
        Ok(Fetched { files, counts: Counts::of_lines(batch, lines[0], lines[1]) })
    }

    /// Writes a file of the folder piece by piece, and returns its number of lines. It gets its name when it is complete.
    async fn save<B: AsRef<[u8]>>(
        &self,
        name: &str,
        spinner: &ProgressBar,
        mut next: impl AsyncFnMut() -> Result<Option<B>>,
    ) -> Result<u64> {
        let (path, part) = (self.folder.join(name), self.folder.join(format!("{name}.part")));
        let unwritable = |path: &Path, error: io::Error| {
            CliError::usage(format!("cannot write {}: {error}", path.display()))
                .hint("Choose another folder with --out.")
        };
        let file = fs::create_dir_all(&self.folder).and_then(|()| File::create(&part));
        let mut file = BufWriter::new(file.map_err(|error| unwritable(&part, error))?);
        let (mut bytes, mut lines, mut last) = (0, 0, b'\n');
        while let Some(piece) = next().await? {
            let piece = piece.as_ref();
            file.write_all(piece).map_err(|error| unwritable(&part, error))?;
            bytes += piece.len();
            lines += piece.split(|byte| *byte == b'\n').count() as u64 - 1;
            last = piece.last().copied().unwrap_or(last);
            spinner.set_message(format!("Fetching {name} ({} KiB)", bytes >> 10));
        }
        file.flush().and_then(|()| fs::rename(&part, &path)).map_err(|error| unwritable(&path, error))?;
        Ok(lines + u64::from(last != b'\n'))
    }

    /// Key of a file in the stack's bucket.
    fn key(&self, name: &str) -> Result<Key> {
        Key::new(&["batch", &self.id, name]).map_err(|error| CliError::usage(error.to_string()))
    }

    async fn stored_summary(&self, artifacts: &Artifacts) -> Result<Vec<u8>> {
        let (key, until) = (self.key(SUMMARY)?, Instant::now() + STORED_TIMEOUT);
        loop {
            match artifacts.get(key.as_str(), None, MAX_SUMMARY).await? {
                GetResult::Object { bytes, .. } => return Ok(bytes.to_vec()),
                GetResult::TooLarge => {
                    return Err(CliError::failed(format!("{key} is not a summary: it is larger than 16 MiB")));
                }
                GetResult::Absent | GetResult::Unchanged if Instant::now() >= until => {
                    return Err(CliError::failed(format!("{} has ended, but the stack has not stored its results", self.id))
                        .hint(format!(
                            "Find its event: openai-webhooks events list --object {}. With --no-stack the results come from \
                             OpenAI.",
                            self.id
                        )));
                }
                GetResult::Absent | GetResult::Unchanged => sleep(STORED_INTERVAL).await,
            }
        }
    }
}
