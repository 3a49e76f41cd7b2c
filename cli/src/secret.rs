//! `secret set`: what OpenAI gives out, checked and stored where the stack reads it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hooks_openai::ApiKey;
use hooks_webhook::Secret;
use serde_json::json;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::signing::Endpoint;

/// Store the stack's secrets
#[derive(Args, Debug)]
pub(crate) struct SecretCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Set(SetArgs),
}

/// Check a secret and store it; it is typed without showing, piped in, or read from a file
#[derive(Args, Debug)]
struct SetArgs {
    /// Which of the stack's secrets
    #[arg(value_enum)]
    which: Which,
    /// The file that holds it (`-` for stdin) [default: ask on a terminal, else stdin]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The signing secret (whsec_...) of the project's endpoint
    Project,
    /// The signing secret (whsec_...) of the organization's endpoint
    Organization,
    /// The API key (sk-...)
    ApiKey,
}

impl Which {
    const fn output(self) -> &'static str {
        match self {
            Self::Project => Endpoint::Project.secret_output(),
            Self::Organization => Endpoint::Organization.secret_output(),
            Self::ApiKey => "OpenAIApiKeySecretArn",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Project => "project's signing secret",
            Self::Organization => "organization's signing secret",
            Self::ApiKey => "API key",
        }
    }

    const fn next(self) -> &'static str {
        match self {
            Self::Project | Self::Organization => {
                "The verifier takes it with the next delivery that is signed with it, and accepts the one before for \
                 24 hours. What OpenAI was refused meanwhile, it repeats for 72 hours."
            }
            Self::ApiKey => "The functions take it within 5 minutes. Check its permissions: openai-webhooks doctor",
        }
    }
}

pub(crate) async fn run(args: SecretCommand, context: &Context) -> Result<Exit, Failure> {
    let Command::Set(SetArgs { which, file }) = args.command;
    let text = match file {
        Some(file) => input::secret(&file)?,
        None => input::typed_secret(&format!("The {}", which.name()))?,
    };
    check(which, &text)?;
    let id = context.output(which.output()).await?;
    let store = context.secrets().await?;
    // Storing the same value again would make the one before it, which may still be in use, forgotten. Whether it is
    // the same, an identity that may only write cannot tell.
    let is_there = store.text(id).await.is_ok_and(|present| present.trim() == text);
    if !is_there {
        store.put(id, &text).await?;
    }
    context.out.result(&json!({ "secret": id, "changed": !is_there }), || {
        if is_there {
            format!("The {} is this one already; nothing was changed.", which.name())
        } else {
            format!("The {} is stored. {}", which.name(), which.next())
        }
    })?;
    Ok(Exit::Yes)
}

/// Refuses what cannot be the secret, before it takes the place of one that may work.
fn check(which: Which, text: &str) -> Result<(), Failure> {
    match which {
        Which::Project | Which::Organization if text.starts_with("sk-") => {
            Err(Failure::usage("this is an API key, not a signing secret")
                .hint("Store it with `openai-webhooks secret set api-key`."))
        }
        Which::Project | Which::Organization => {
            Secret::parse(text).map(drop).map_err(|error| Failure::usage(error.to_string()))
        }
        Which::ApiKey if text.starts_with("whsec_") => Err(Failure::usage("this is a signing secret, not an API key")
            .hint("Store it with `openai-webhooks secret set project`.")),
        Which::ApiKey if text.starts_with("sk-admin-") => {
            Err(Failure::usage("this is an admin key, which OpenAI refuses for everything that the functions do")
                .hint("Create a project key at https://platform.openai.com/api-keys."))
        }
        Which::ApiKey if !text.starts_with("sk-") => Err(Failure::usage("an API key begins with `sk-`")
            .hint("Copy it from https://platform.openai.com/api-keys as it is.")),
        Which::ApiKey => text.parse::<ApiKey>().map(drop).map_err(|error| Failure::usage(error.to_string())),
    }
}
