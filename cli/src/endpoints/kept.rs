//! Where a secret goes that OpenAI has just made, and shows only once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hooks_openai::EndpointSecret;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::signing::Endpoint;

/// A place for a secret, made sure of before OpenAI is asked for one.
pub(super) enum Keeper {
    /// The stack's secret for projects.
    Stack { id: String, store: hooks_aws::secrets::Store },
    /// A new file that its owner alone can read.
    File { path: PathBuf, file: File },
}

impl Keeper {
    /// The stack's secret.
    pub(super) async fn stack(context: &Context) -> Result<Self, Failure> {
        let id = context.output(Endpoint::Project.secret_output()).await?.to_owned();
        Ok(Self::Stack { id, store: context.secrets().await? })
    }

    /// A new file. What is there already is not overwritten.
    pub(super) fn file(path: PathBuf) -> Result<Self, Failure> {
        let file = create(&path).map_err(|error| {
            Failure::usage(format!("cannot create {}: {error}", path.display()))
                .hint("--secret-out names a file that does not exist yet.")
        })?;
        Ok(Self::File { path, file })
    }

    /// Stores the secret. When that fails, the secret goes to a file, since OpenAI does not show it again.
    pub(super) async fn keep(self, endpoint_id: &str, secret: &EndpointSecret) -> Result<Kept, Failure> {
        let (failed, place) = match self {
            Self::Stack { id, store } => match store.put(&id, secret.expose()).await {
                Ok(()) => return Ok(Kept::Stack(id)),
                Err(error) => (error.to_string(), "the stack"),
            },
            Self::File { path, mut file } => match write(&mut file, secret) {
                Ok(()) => return Ok(Kept::File(path)),
                Err(error) => (error.to_string(), "the file"),
            },
        };
        let lost =
            format!("OpenAI has made a new secret for {endpoint_id}, but storing it in {place} failed: {failed}");
        Err(match rescue(endpoint_id, secret) {
            Ok(path) => Failure::remote(format!("{lost}. It is in {} instead", path.display())).hint(format!(
                "Store it now, then delete the file: openai-webhooks secret set project --file {0} && rm {0}",
                path.display()
            )),
            Err(error) => Failure::remote(format!("{lost}; writing it to a file failed, too: {error}"))
                .hint(format!("It is lost. When storing works again: openai-webhooks endpoints rotate {endpoint_id}")),
        })
    }

    /// Takes an empty file away that no secret came for.
    pub(super) fn discard(self) {
        if let Self::File { path, .. } = self {
            // It is empty: left behind, it does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

/// Where a secret is now.
pub(super) enum Kept {
    Stack(String),
    File(PathBuf),
}

impl Kept {
    pub(super) fn document(&self) -> Value {
        match self {
            Self::Stack(id) => json!({ "secret": id }),
            Self::File(path) => json!({ "file": path }),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Stack(_) => "Its signing secret is in the stack.".to_owned(),
            Self::File(path) => format!("Its signing secret is in {}, which you alone can read.", path.display()),
        }
    }
}

fn write(file: &mut File, secret: &EndpointSecret) -> io::Result<()> {
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()
}

/// A file for a secret that found no other place: here, or else where temporary files go.
fn rescue(endpoint_id: &str, secret: &EndpointSecret) -> io::Result<PathBuf> {
    let name = format!("openai-webhooks-{endpoint_id}-{:08x}.secret", fastrand::u32(..));
    let here = std::env::current_dir().map(|folder| folder.join(&name));
    let written = here.and_then(|path| write_new(&path, secret).map(|()| path));
    written.or_else(|_| {
        let path = std::env::temp_dir().join(&name);
        write_new(&path, secret).map(|()| path)
    })
}

fn write_new(path: &Path, secret: &EndpointSecret) -> io::Result<()> {
    write(&mut create(path)?, secret)
}

/// A new file that its owner alone can read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
