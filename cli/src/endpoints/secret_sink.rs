//! Storage of a secret that OpenAI creates, and shows only once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hooks_openai::{EndpointSecret, OpenAiError, WebhookEndpoint};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::stack_endpoints::StackEndpoint;

/// A place for a secret, prepared before OpenAI creates the secret.
pub(super) enum SecretSink {
    /// The secret of the stack's endpoint.
    Stack { endpoint: StackEndpoint, store: hooks_aws::secrets::Store },
    /// A new file that only its owner can read.
    File { path: PathBuf, file: File },
}

impl SecretSink {
    /// A new file if a path is given, else the stack's endpoint.
    pub(super) async fn new(path: Option<PathBuf>, endpoint: Option<StackEndpoint>, context: &Context) -> Result<Self> {
        let path = match (path, endpoint) {
            (Some(path), _) => path,
            (None, Some(endpoint)) => return Ok(Self::Stack { endpoint, store: context.secrets().await? }),
            (None, None) => return Err(CliError::usage("the secret needs a place: give --secret-out FILE")),
        };
        let file = create(&path).map_err(|error| {
            CliError::usage(format!("cannot create {}: {error}", path.display()))
                .hint("--secret-out names a file that does not exist yet.")
        })?;
        Ok(Self::File { path, file })
    }

    /// Stores the secret that OpenAI created, or removes the empty file if it created none.
    pub(super) async fn fill(
        self,
        created: std::result::Result<(WebhookEndpoint, EndpointSecret), OpenAiError>,
    ) -> Result<(WebhookEndpoint, StoredSecret)> {
        match (created, self) {
            (Ok((endpoint, secret)), sink) => sink.store(&endpoint.id, &secret).await.map(|stored| (endpoint, stored)),
            (Err(error), Self::Stack { .. }) => Err(error.into()),
            (Err(error), Self::File { path, .. }) => {
                // An empty file that stays does no harm.
                let _ = fs::remove_file(path);
                Err(error.into())
            }
        }
    }

    /// Stores the secret. If that fails, it is written to a file, since OpenAI does not show it again.
    async fn store(self, endpoint_id: &str, secret: &EndpointSecret) -> Result<StoredSecret> {
        let (error, place, name) = match self {
            Self::Stack { endpoint, store } => match store.put(&endpoint.secret_id, secret.expose()).await {
                Ok(()) => return Ok(StoredSecret::Stack(endpoint.secret_id)),
                Err(error) => (error.to_string(), "the stack", endpoint.name),
            },
            Self::File { path, mut file } => match write(&mut file, secret) {
                Ok(()) => return Ok(StoredSecret::File(path)),
                Err(error) => (error.to_string(), "the file", "project".to_owned()),
            },
        };
        let message =
            format!("OpenAI created a new secret for {endpoint_id}, but storing it in {place} failed: {error}");
        Err(match write_fallback(endpoint_id, secret) {
            Ok(path) => CliError::service(format!("{message}. It is in {} instead", path.display())).hint(format!(
                "Store it, then delete the file: openai-webhooks secret set {name} --file {0} && rm {0}",
                path.display()
            )),
            Err(error) => CliError::service(format!("{message}; writing it to a file failed, too: {error}"))
                .hint(format!("It is lost. Once storing works again: openai-webhooks endpoints rotate {endpoint_id}")),
        })
    }
}

/// Place of a stored secret.
pub(super) enum StoredSecret {
    Stack(String),
    File(PathBuf),
}

impl StoredSecret {
    pub(super) fn document(&self) -> Value {
        match self {
            Self::Stack(id) => json!({ "secret": id }),
            Self::File(path) => json!({ "file": path }),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Stack(_) => "Its signing secret is in the stack.".to_owned(),
            Self::File(path) => format!("Its signing secret is in {}, which only you can read.", path.display()),
        }
    }
}

fn write(file: &mut File, secret: &EndpointSecret) -> io::Result<()> {
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()
}

/// Writes the secret to a new file in the current folder, or else in the folder for temporary files.
fn write_fallback(endpoint_id: &str, secret: &EndpointSecret) -> io::Result<PathBuf> {
    let name = format!("openai-webhooks-{endpoint_id}-{:08x}.secret", fastrand::u32(..));
    let write_in = |folder: PathBuf| {
        let path = folder.join(&name);
        write(&mut create(&path)?, secret).map(|()| path)
    };
    std::env::current_dir().and_then(write_in).or_else(|_| write_in(std::env::temp_dir()))
}

/// Creates a file that only its owner can read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
