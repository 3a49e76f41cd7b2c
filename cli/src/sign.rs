//! `sign`: the headers that a body would be delivered with.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::context::{Context, now};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::samples::random_hex;
use crate::signing::{self, SecretArgs};

/// Print the headers that OpenAI would send with a body
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// The file with the body, byte for byte (`-` for stdin)
    file: PathBuf,
    #[command(flatten)]
    secret: SecretArgs,
    /// The webhook-id [default: a new one]
    #[arg(long, value_parser = webhook_id)]
    id: Option<String>,
    /// When the delivery is made: Unix seconds or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    timestamp: Option<u64>,
    /// Print a curl command that makes the delivery
    #[arg(long)]
    curl: bool,
    /// Where the curl command delivers to [default: the stack's endpoint]
    #[arg(long, requires = "curl")]
    url: Option<String>,
}

pub(crate) async fn run(args: SignArgs, context: &Context) -> Result<Exit, Failure> {
    if input::is_stdin(&args.file) && args.secret.takes_stdin() {
        return Err(Failure::usage("stdin cannot be both the body and the secret"));
    }
    let body = input::bytes(&args.file, input::MAX_BODY)?;
    let secret = args.secret.current(context).await?;
    let id = args.id.unwrap_or_else(new_webhook_id);
    let headers = signing::headers(&secret, &id, args.timestamp.unwrap_or_else(now), &body);
    let curl = if args.curl {
        let url = match args.url {
            Some(url) => url,
            None => context.output(args.secret.endpoint().url_output()).await?.to_owned(),
        };
        Some(curl(&url, &headers, &args.file.to_string_lossy()))
    } else {
        None
    };
    if body.len() > hooks_webhook::MAX_BODY {
        context.out.note("note: the body is longer than 256 KiB, so every endpoint of this project refuses it");
    }
    let named: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    context.out.result(&json!({ "headers": named, "curl": curl }), || {
        curl.clone().unwrap_or_else(|| headers.each_ref().map(|(name, value)| format!("{name}: {value}")).join("\n"))
    })?;
    Ok(Exit::Yes)
}

/// The id of a delivery that nobody has made before.
pub(crate) fn new_webhook_id() -> String {
    format!("wh_{}", random_hex())
}

/// An id that can stand in a header and that is signed as it stands there.
pub(crate) fn webhook_id(text: &str) -> Result<String, String> {
    if (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        Ok(text.to_owned())
    } else {
        Err("an id is 1 to 256 visible ASCII characters without a comma, such as wh_123".to_owned())
    }
}

fn curl(url: &str, headers: &[(&str, String)], file: &str) -> String {
    let mut command = "curl --include --header 'content-type: application/json'".to_owned();
    for (name, value) in headers {
        let _ = write!(command, " \\\n  --header {}", quoted(&format!("{name}: {value}")));
    }
    command + &format!(" \\\n  --data-binary {} {}", quoted(&format!("@{file}")), quoted(url))
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
