//! The results of a batch that has ended, in a folder: those that the stack has kept, or those that OpenAI has.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_aws::artifacts::{Artifacts, GetResult, Key};
use hooks_openai::{Batch, Client};
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Progress;

const OUTPUT: &str = "output.jsonl";
const ERRORS: &str = "errors.jsonl";
const SUMMARY: &str = "summary.json";

/// Far above any summary: it has counts, and no line.
const MAX_SUMMARY: usize = 16 * 1024 * 1024;

/// How long the stack may take to keep the results after the batch has ended. OpenAI's event comes within seconds, and
/// the consumer may take its 15 minutes.
const KEPT_TIMEOUT: Duration = Duration::from_mins(20);

/// The pause between two looks into the bucket.
const KEPT_PAUSE: Duration = Duration::from_secs(2);

/// How long a download may take as a whole. It ends much sooner when nothing moves.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(6);

/// Where the results of a batch go.
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

    /// Fetches what the stack has kept, once it has, and answers the names of the files. The summary is kept last.
    pub(super) async fn fetch_kept(&self, bucket: &str, context: &Context) -> Result<Vec<&'static str>, Failure> {
        let artifacts = Artifacts::new(context.aws().await?, bucket);
        let spinner = context.out.spinner("Waiting for the stack to keep the results");
        let summary = self.kept_summary(&artifacts).await?;
        let mut files = Vec::new();
        for name in [OUTPUT, ERRORS] {
            if let Some(mut object) = artifacts.open(&self.key(name)?).await? {
                let mut target = Target::new(&self.folder, name)?;
                while let Some(piece) = object.chunk().await? {
                    target.write(&piece, &spinner)?;
                }
                files.push(target.finish()?);
            }
        }
        let mut target = Target::new(&self.folder, SUMMARY)?;
        target.write(&summary, &spinner)?;
        files.push(target.finish()?);
        Ok(files)
    }

    /// Fetches what OpenAI has, and answers the names of the files. The summary is the batch itself.
    pub(super) async fn fetch_from_openai(
        &self,
        openai: &Client,
        batch: &Batch,
        context: &Context,
    ) -> Result<Vec<&'static str>, Failure> {
        let spinner = context.out.spinner("Fetching the results");
        let until = Instant::now() + DOWNLOAD_TIMEOUT;
        let mut files = Vec::new();
        for (name, file_id) in [(OUTPUT, &batch.output_file_id), (ERRORS, &batch.error_file_id)] {
            if let Some(file_id) = file_id {
                let mut source = openai.file_content(file_id, until).await?;
                let mut target = Target::new(&self.folder, name)?;
                while let Some(piece) = source.chunk().await? {
                    target.write(&piece, &spinner)?;
                }
                files.push(target.finish()?);
            }
        }
        let mut target = Target::new(&self.folder, SUMMARY)?;
        target.write(format!("{:#}\n", batch.raw).as_bytes(), &spinner)?;
        files.push(target.finish()?);
        Ok(files)
    }

    /// Where the stack keeps a file.
    fn key(&self, name: &str) -> Result<Key, Failure> {
        Key::new(&["batch", &self.id, name]).map_err(|error| Failure::usage(error.to_string()))
    }

    async fn kept_summary(&self, artifacts: &Artifacts) -> Result<Vec<u8>, Failure> {
        let (key, until) = (self.key(SUMMARY)?, Instant::now() + KEPT_TIMEOUT);
        loop {
            match artifacts.get(key.as_str(), None, MAX_SUMMARY).await? {
                GetResult::Object { bytes, .. } => return Ok(bytes.to_vec()),
                GetResult::TooLarge => return Err(Failure::no(format!("{key} is no summary: it is too large"))),
                GetResult::Absent | GetResult::Unchanged if Instant::now() >= until => {
                    return Err(Failure::no(format!("{} has ended, and the stack has not kept its results", self.id))
                        .hint(format!(
                            "`openai-webhooks events list --object {}` shows what became of its event. With --no-stack \
                             the results come from OpenAI.",
                            self.id
                        )));
                }
                GetResult::Absent | GetResult::Unchanged => sleep(KEPT_PAUSE).await,
            }
        }
    }
}

/// A file of the folder. It has its name once it is whole.
struct Target {
    name: &'static str,
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Target {
    fn new(folder: &Path, name: &'static str) -> Result<Self, Failure> {
        let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
        let file = fs::create_dir_all(folder).and_then(|()| File::create(&part));
        let file = BufWriter::new(file.map_err(|error| unwritable(&part, &error))?);
        Ok(Self { name, path, part, file, bytes: 0 })
    }

    fn write(&mut self, piece: &[u8], spinner: &Progress) -> Result<(), Failure> {
        self.file.write_all(piece).map_err(|error| unwritable(&self.part, &error))?;
        self.bytes += piece.len() as u64;
        spinner.say(format!("Fetching {} ({} KiB)", self.name, self.bytes >> 10));
        Ok(())
    }

    fn finish(mut self) -> Result<&'static str, Failure> {
        let whole = self.file.flush().and_then(|()| fs::rename(&self.part, &self.path));
        whole.map_err(|error| unwritable(&self.path, &error))?;
        Ok(self.name)
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", path.display())).hint("Choose another folder with --out.")
}

impl From<hooks_aws::artifacts::ArtifactError> for Failure {
    fn from(error: hooks_aws::artifacts::ArtifactError) -> Self {
        Self::remote(error.to_string())
            .hint("Your AWS identity needs s3:GetObject and s3:ListBucket on the stack's bucket.")
    }
}
