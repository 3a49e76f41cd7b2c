//! `send`: signed deliveries to an endpoint, as OpenAI makes them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::StringValueParser;
use hooks_webhook::Secret;
use reqwest::Url;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::input;
use crate::output::{or_dash, printable, table};
use crate::samples;
use crate::sign::{SecretArgs, headers, parse_webhook_id, webhook_id_for};
use crate::timestamp::now;
use crate::values::Suggested;

/// Time limit of a delivery. OpenAI waits a few seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum length of an answer that is kept, in bytes.
const MAX_ANSWER: usize = 4096;

/// Deliver a signed event, as OpenAI does
#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// Type of a sample event, such as batch.completed, or a file with a body (`-` for stdin)
    #[arg(
        default_value = "response.completed",
        value_name = "TYPE|FILE",
        value_parser = Suggested::new(samples::types(), StringValueParser::new()),
        hide_possible_values = true
    )]
    event: String,
    /// URL to deliver to [default: the stack's endpoint]
    #[arg(long, value_parser = input::url)]
    url: Option<Url>,
    /// Object of a sample event [default: a new id each, which OpenAI does not have]
    #[arg(long, value_name = "ID", value_parser = object_id)]
    object: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// webhook-id of every delivery [default: a new one each]
    #[arg(long, value_parser = parse_webhook_id)]
    id: Option<String>,
    /// Number of deliveries, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

/// A delivery with its answer.
#[derive(Serialize)]
pub(crate) struct Delivery {
    pub(crate) webhook_id: Option<String>,
    pub(crate) status: u16,
    /// The beginning of the answer's body.
    pub(crate) answer: String,
    pub(crate) milliseconds: u64,
}

enum Body {
    Sample(String),
    File(Vec<u8>),
}

pub(crate) async fn run(args: SendArgs, context: &Context) -> Result {
    let body = body(&args)?;
    let secret = args.secret.secret(context).await?;
    let sender = match args.url {
        Some(url) => Sender::new(url)?,
        None => Sender::to(&args.secret.stack_endpoint(context).await?.url)?,
    };
    let progress = context.out.bar(format!("Delivering to {}", sender.url), args.count.into());
    let mut deliveries = Vec::new();
    for number in 1..=args.count {
        let body = match &body {
            Body::Sample(event_type) => {
                samples::sample(event_type, args.object.as_deref()).unwrap_or_default().into_bytes()
            }
            Body::File(body) => body.clone(),
        };
        let delivery = sender.deliver(&secret, args.id.as_deref(), body).await?;
        if context.out.json {
            // At once: those before one that fails were made.
            let mut line = json!(delivery);
            line["url"] = sender.url.as_str().into();
            context.out.line(&line)?;
        }
        deliveries.push(delivery);
        progress.set_position(number.into());
    }
    drop(progress);
    if !context.out.json {
        let row = |delivery: &Delivery| {
            let Delivery { webhook_id, status, answer, milliseconds } = delivery;
            [or_dash(webhook_id.as_deref()), status.to_string(), format!("{milliseconds} ms"), answer.clone()]
        };
        let rows: Vec<_> = deliveries.iter().map(row).collect();
        context.out.result(&(), || table(["WEBHOOK ID", "STATUS", "TIME", "ANSWER"], &rows))?;
    }
    Ok(Exit::success_if(deliveries.iter().all(|delivery| delivery.status == 200)))
}

fn object_id(text: &str) -> std::result::Result<String, String> {
    if (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("an id has 1 to 512 characters, without spaces".to_owned())
}

fn body(args: &SendArgs) -> Result<Body> {
    if samples::types().any(|known| known == args.event) {
        return Ok(Body::Sample(args.event.clone()));
    }
    if args.object.is_some() {
        return Err(CliError::usage("--object is for a sample event; a file has its own object"));
    }
    let path = PathBuf::from(&args.event);
    args.secret.check_stdin(input::is_stdin(&path))?;
    if input::is_stdin(&path) || path.exists() {
        return Ok(Body::File(input::bytes(&path, input::MAX_BODY)?));
    }
    let known: Vec<&str> = samples::types().collect();
    Err(CliError::usage(format!("{} is neither the type of a sample nor a file", printable(&args.event)))
        .hint(format!("The samples are {}.", known.join(", "))))
}

/// Makes deliveries to one URL.
pub(crate) struct Sender {
    http: reqwest::Client,
    url: Url,
}

impl Sender {
    /// Delivers to an endpoint of the stack.
    pub(crate) fn to(url: &str) -> Result<Self> {
        let parsed =
            url.parse().map_err(|error| CliError::failed(format!("the stack's URL {url} is not a URL: {error}")));
        Self::new(parsed?)
    }

    /// Delivers to this URL.
    pub(crate) fn new(url: Url) -> Result<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(CliError::usage(format!("{url} is neither an http nor an https URL")));
        }
        let http = hooks_openai::http_client().map_err(|error| CliError::usage(error.to_string()))?;
        Ok(Self { http, url })
    }

    /// Signs a delivery and makes it.
    pub(crate) async fn deliver(&self, secret: &Secret, webhook_id: Option<&str>, body: Vec<u8>) -> Result<Delivery> {
        let webhook_id = webhook_id_for(secret, webhook_id)?;
        let mut request = self.http.post(self.url.clone()).header("content-type", "application/json");
        for (name, value) in headers(secret, webhook_id.as_deref(), now(), &body) {
            request = request.header(name, value);
        }
        let begun = Instant::now();
        let (status, answer) = match timeout(TIMEOUT, answer(request.body(body))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                // The error itself repeats the URL.
                let cause = std::error::Error::source(&error).map(hooks_aws::chain).unwrap_or_default();
                return Err(self.no_answer(&hooks_openai::for_display(&format!("the request failed: {cause}"))));
            }
            Err(_) => return Err(self.no_answer(&format!("time limit of {} s", TIMEOUT.as_secs()))),
        };
        let milliseconds = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Ok(Delivery { webhook_id, status, answer, milliseconds })
    }

    fn no_answer(&self, cause: &str) -> CliError {
        CliError::service(format!("no answer from {}: {cause}", self.url))
            .hint("Check the URL, and that this machine can reach it.")
    }
}

/// The status, and the beginning of the body.
async fn answer(request: reqwest::RequestBuilder) -> std::result::Result<(u16, String), reqwest::Error> {
    let mut response = request.send().await?;
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER {
        match response.chunk().await? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    bytes.truncate(MAX_ANSWER);
    Ok((response.status().as_u16(), String::from_utf8_lossy(&bytes).trim().to_owned()))
}
