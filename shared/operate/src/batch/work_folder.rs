//! A folder for files that are needed for a moment.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;

use crate::error::{OperateError, Result};

/// A folder that only this user can read. It is removed when dropped.
#[derive(Debug)]
pub struct WorkFolder(PathBuf);

impl WorkFolder {
    /// A new folder among the files that are temporary.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("openai-webhooks-{:032x}", fastrand::u128(..)));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(Self::unwritable)?;
        Ok(Self(path))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// A new file, to write and to read.
    pub(super) fn file(&self, name: &str) -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.0.join(name));
        file.map_err(Self::unwritable)
    }

    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn unwritable(error: io::Error) -> OperateError {
        OperateError::failed(format!("cannot use the folder for temporary files: {error}"))
            .hint("Set TMPDIR to a folder with enough space.")
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
