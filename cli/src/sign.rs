//! `sign`: the headers of a delivery.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::Result;
use crate::input;
use crate::output::shell_word;
use crate::signing::{SecretArgs, headers, parse_webhook_id, webhook_id_for};
use crate::timestamp::now;

/// Print the headers that OpenAI would send with a body
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// File with the body, byte for byte (`-` for stdin)
    file: PathBuf,
    #[command(flatten)]
    secret: SecretArgs,
    /// webhook-id of the delivery [default: a new one]
    #[arg(long, value_parser = parse_webhook_id)]
    id: Option<String>,
    /// Time of the delivery: Unix seconds or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    timestamp: Option<u64>,
    /// Print a curl command that makes the delivery
    #[arg(long)]
    curl: bool,
    /// URL in the curl command [default: the stack's endpoint]
    #[arg(long, requires = "curl")]
    url: Option<String>,
}

pub(crate) async fn run(args: SignArgs, context: &Context) -> Result {
    args.secret.check_stdin(input::is_stdin(&args.file))?;
    let body = input::bytes(&args.file, input::MAX_BODY)?;
    let secret = args.secret.secret(context).await?;
    let id = webhook_id_for(&secret, args.id.as_deref())?;
    let headers = headers(&secret, id.as_deref(), args.timestamp.unwrap_or_else(now), &body);
    let curl = match (args.curl, args.url) {
        (false, _) => None,
        (true, Some(url)) => Some(curl(&url, &headers, &args.file.to_string_lossy())),
        (true, None) => {
            let url = args.secret.stack_endpoint(context).await?.url;
            Some(curl(&url, &headers, &args.file.to_string_lossy()))
        }
    };
    if body.len() > hooks_webhook::MAX_BODY {
        context.out.note("note: the body is longer than 256 KiB; every endpoint of this project refuses it");
    }
    let named: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    context.out.result(&json!({ "headers": named, "curl": curl }), || {
        let lines = || headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n");
        curl.clone().unwrap_or_else(lines)
    })
}

fn curl(url: &str, headers: &[(&str, String)], file: &str) -> String {
    let mut command = "curl --include --header 'content-type: application/json'".to_owned();
    for (name, value) in headers {
        let _ = write!(command, " \\\n  --header {}", shell_word(&format!("{name}: {value}")));
    }
    command + &format!(" \\\n  --data-binary {} {}", shell_word(&format!("@{file}")), shell_word(url))
}
