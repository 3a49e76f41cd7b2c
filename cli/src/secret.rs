//! `secret set`: check a secret and store it in the stack.

use std::path::PathBuf;

use clap::Subcommand;
use hooks_openai::ApiKey;
use hooks_webhook::{Scheme, Secret};
use serde_json::json;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::input;
use crate::output::printable;
use crate::stack_endpoints::{ORGANIZATION, PROJECT, endpoint_name};
use crate::values::Suggested;

/// Store the stack's secrets
#[derive(Subcommand, Debug)]
pub(crate) enum SecretCommand {
    /// Check a secret and store it; it is typed without echo, piped in, or read from a file
    Set {
        /// `api-key`, or the endpoint whose signing secret it is: project, organization or an additional one
        #[arg(value_parser = Suggested::new([API_KEY, PROJECT, ORGANIZATION], endpoint_name), hide_possible_values = true)]
        name: String,
        /// File with the secret (`-` for stdin) [default: ask on a terminal, else stdin]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

const API_KEY: &str = "api-key";

pub(crate) async fn run(command: SecretCommand, context: &Context) -> Result {
    let SecretCommand::Set { name, file } = command;
    let is_key = name == API_KEY;
    let what = if is_key { "API key".to_owned() } else { format!("{name} signing secret") };
    // An additional endpoint is known to the stack only.
    let scheme = match name.as_str() {
        API_KEY | PROJECT | ORGANIZATION => Scheme::StandardWebhooks,
        _ => context.stack().await?.endpoint(&name)?.scheme,
    };
    let text = match file {
        Some(file) => input::secret(&file)?,
        None => input::typed_secret(&format!("The {what}"))?,
    };
    if is_key { check_api_key(&text) } else { check_signing_secret(scheme, &text) }?;
    let id = if is_key {
        context.output("OpenAIApiKeySecretArn").await?.to_owned()
    } else {
        context.stack().await?.endpoint(&name)?.secret_id
    };
    let store = context.secrets().await?;
    // Storing the same value again would remove the previous one, which may still be in use. An identity that may only
    // write cannot compare.
    let is_same = store.text(&id).await.is_ok_and(|present| present.trim() == text);
    if !is_same {
        store.put(&id, &text).await?;
    }
    context.out.result(&json!({ "secret": id, "changed": !is_same }), || {
        let next = if is_key {
            "The functions use it within 5 minutes. Check its permissions: openai-webhooks doctor"
        } else {
            "The verifier uses it within a minute, and accepts the previous one for 24 hours. OpenAI repeats refused \
             deliveries for 72 hours."
        };
        if is_same {
            format!("The stack already has this {what}; nothing was changed.")
        } else {
            format!("The {what} is stored. {next}")
        }
    })
}

/// Refuses text that cannot be a signing secret.
fn check_signing_secret(scheme: Scheme, text: &str) -> Result<()> {
    if text.starts_with("sk-") {
        return Err(CliError::usage("this is an API key, not a signing secret")
            .hint("Store it with `openai-webhooks secret set api-key`."));
    }
    Secret::parse_for(scheme, text).map(drop).map_err(|error| CliError::usage(error.to_string()))
}

/// Refuses text that cannot be an API key.
fn check_api_key(text: &str) -> Result<()> {
    const KEYS: &str = "https://platform.openai.com/api-keys";
    if text.starts_with("whsec_") {
        return Err(CliError::usage("this is a signing secret, not an API key")
            .hint("Store it with `openai-webhooks secret set project`."));
    }
    if text.starts_with("sk-admin-") {
        return Err(CliError::usage("this is an admin key, which OpenAI refuses for the functions' calls")
            .hint(format!("Create a project key at {KEYS}.")));
    }
    if !text.starts_with("sk-") {
        return Err(CliError::usage("an API key begins with `sk-`").hint(format!("Copy it unchanged from {KEYS}.")));
    }
    if let Some(other) = text.chars().find(|other| !other.is_ascii_alphanumeric() && !"-_".contains(*other)) {
        let what = format!(
            "no API key has the character {}: this one is masked, shortened or not alone",
            printable(&other.to_string())
        );
        return Err(CliError::usage(what).hint(format!("OpenAI shows a key once. Create a new one at {KEYS}.")));
    }
    text.parse::<ApiKey>().map(drop).map_err(|error| CliError::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_key_replaces_none() {
        for key in ["sk-proj-0aZ_9-b", "sk-local"] {
            assert!(check_api_key(key).is_ok(), "{key}");
        }
        for text in [
            "sk-proj-****abcd",
            "sk-...AbCd",
            "sk-…AbCd",
            "sk-abc\",\"name\":\"x\"}",
            "sk-abc,",
            "sk-a b",
            "key",
            "whsec_a",
            "sk-admin-1",
        ] {
            let error = check_api_key(text).unwrap_err();
            assert!(error.hint.is_some() && !error.message.contains("AbCd"), "{text}");
        }
    }
}
