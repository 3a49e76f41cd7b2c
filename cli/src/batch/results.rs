//! Download of a batch's results into a folder, from the stack's bucket or from OpenAI.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_aws::artifacts::{Artifacts, GetResult, Key};
use hooks_openai::{Batch, Client};
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

    /// Waits for the stack to store the results, downloads them, and returns the file names. The stack stores the summary
    /// last.
    pub(super) async fn fetch_from_stack(&self, bucket: &str, context: &Context) -> Result<Vec<&'static str>> {
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
        let mut summary = Some(summary);
        self.save(SUMMARY, &spinner, async || Ok(summary.take())).await?;
        files.push(SUMMARY);
        Ok(files)
    }

    /// Downloads OpenAI's files, and returns the file names. The summary is the batch object.
    pub(super) async fn fetch_from_openai(
        &self,
        openai: &Client,
        batch: &Batch,
        context: &Context,
    ) -> Result<Vec<&'static str>> {
        let spinner = context.out.spinner("Fetching the results");
        let until = Instant::now() + DOWNLOAD_TIMEOUT;
        let mut files = Vec::new();
        for (name, file_id) in [(OUTPUT, &batch.output_file_id), (ERRORS, &batch.error_file_id)] {
            if let Some(file_id) = file_id {
                let mut source = openai.file_content(file_id, until).await?;
                self.save(name, &spinner, async || Ok(source.chunk().await?)).await?;
                files.push(name);
            }
        }
        let mut summary = Some(format!("{:#}\n", batch.raw));
        self.save(SUMMARY, &spinner, async || Ok(summary.take())).await?;
        files.push(SUMMARY);
        Ok(files)
    }

    /// Writes a file of the folder piece by piece. It gets its name when it is complete.
    async fn save<B: AsRef<[u8]>>(
        &self,
        name: &str,
        spinner: &ProgressBar,
        mut next: impl AsyncFnMut() -> Result<Option<B>>,
    ) -> Result<()> {
        let (path, part) = (self.folder.join(name), self.folder.join(format!("{name}.part")));
        let unwritable = |path: &Path, error: io::Error| {
            CliError::usage(format!("cannot write {}: {error}", path.display()))
                .hint("Choose another folder with --out.")
        };
        let file = fs::create_dir_all(&self.folder).and_then(|()| File::create(&part));
        let mut file = BufWriter::new(file.map_err(|error| unwritable(&part, error))?);
        let mut bytes = 0;
        while let Some(piece) = next().await? {
            file.write_all(piece.as_ref()).map_err(|error| unwritable(&part, error))?;
            bytes += piece.as_ref().len();
            spinner.set_message(format!("Fetching {name} ({} KiB)", bytes >> 10));
        }
        file.flush().and_then(|()| fs::rename(&part, &path)).map_err(|error| unwritable(&path, error))
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
