//! Download of a batch's results into a folder, from the stack's bucket or from OpenAI.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_aws::artifacts::{Artifacts, GetResult, Key};
use hooks_openai::{Batch, Client, Json};
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::Progress;

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
                let mut target = OutputFile::new(&self.folder, name)?;
                while let Some(piece) = object.chunk().await? {
                    target.write(&piece, &spinner)?;
                }
                files.push(target.finish()?);
            }
        }
        let mut target = OutputFile::new(&self.folder, SUMMARY)?;
        target.write(&summary, &spinner)?;
        files.push(target.finish()?);
        let counts = Json::of(&summary).get("counts").map(Counts::read).unwrap_or_default();
        Ok(Fetched { files, counts })
    }

    /// Downloads OpenAI's files. The summary is the batch object.
    pub(super) async fn fetch_from_openai(&self, openai: &Client, batch: &Batch, context: &Context) -> Result<Fetched> {
        let spinner = context.out.spinner("Fetching the results");
        let until = Instant::now() + DOWNLOAD_TIMEOUT;
        let (mut files, mut lines) = (Vec::new(), Vec::new());
        for (name, file_id) in [(OUTPUT, &batch.output_file_id), (ERRORS, &batch.error_file_id)] {
            if let Some(file_id) = file_id {
                let mut source = openai.file_content(file_id, until).await?;
                let mut target = OutputFile::new(&self.folder, name)?;
                while let Some(piece) = source.chunk().await? {
                    target.write(&piece, &spinner)?;
                }
                lines.push(target.lines);
                files.push(target.finish()?);
            } else {
                lines.push(0);
            }
        }
        let mut target = OutputFile::new(&self.folder, SUMMARY)?;
        target.write(&batch.json, &spinner)?;
        files.push(target.finish()?);
        Ok(Fetched { files, counts: Counts::of_lines(batch, lines[0], lines[1]) })
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

/// A file in the folder. It gets its name when it is complete.
struct OutputFile {
    name: &'static str,
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    lines: u64,
}

impl OutputFile {
    fn new(folder: &Path, name: &'static str) -> Result<Self> {
        let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
        let file = fs::create_dir_all(folder).and_then(|()| File::create(&part));
        let file = BufWriter::new(file.map_err(|error| unwritable(&part, &error))?);
        Ok(Self { name, path, part, file, bytes: 0, lines: 0 })
    }

    fn write(&mut self, piece: &[u8], spinner: &Progress) -> Result<()> {
        self.file.write_all(piece).map_err(|error| unwritable(&self.part, &error))?;
        self.bytes += piece.len() as u64;
        self.lines += piece.split(|byte| *byte == b'\n').count() as u64 - 1;
        spinner.set_message(format!("Fetching {} ({} KiB)", self.name, self.bytes >> 10));
        Ok(())
    }

    fn finish(mut self) -> Result<&'static str> {
        let whole = self.file.flush().and_then(|()| fs::rename(&self.part, &self.path));
        whole.map_err(|error| unwritable(&self.path, &error))?;
        Ok(self.name)
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot write {}: {error}", path.display())).hint("Choose another folder with --out.")
}
