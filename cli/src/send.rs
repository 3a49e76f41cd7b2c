//! `send`: signed deliveries to an endpoint, as OpenAI makes them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hooks_webhook::Secret;
use reqwest::Url;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::context::{Context, now};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::{table, visible};
use crate::samples;
use crate::sign::{new_webhook_id, webhook_id};
use crate::signing::{self, SecretArgs};

/// How long an answer may take. OpenAI waits a few seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much of an answer is kept, in bytes.
const MAX_ANSWER: usize = 4096;

/// Deliver a signed event, as OpenAI does
#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// The type of a sample event, such as batch.completed, or a file with a body (`-` for stdin)
    #[arg(default_value = "response.completed", value_name = "TYPE|FILE")]
    what: String,
    /// Where to [default: the stack's endpoint]
    #[arg(long)]
    url: Option<Url>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The webhook-id of every delivery [default: a new one each]
    #[arg(long, value_parser = webhook_id)]
    id: Option<String>,
    /// How many deliveries, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

/// A delivery and how it was answered.
#[derive(Serialize)]
pub(crate) struct Delivered {
    pub(crate) webhook_id: String,
    pub(crate) status: u16,
    /// The beginning of the answer's body.
    pub(crate) answer: String,
    pub(crate) milliseconds: u64,
}

enum Body {
    Sample(String),
    File(Vec<u8>),
}

pub(crate) async fn run(args: SendArgs, context: &Context) -> Result<Exit, Failure> {
    let body = body(&args)?;
    let secret = args.secret.current(context).await?;
    let url = if let Some(url) = args.url {
        url
    } else {
        let url = context.output(args.secret.endpoint().url_output()).await?;
        url.parse().map_err(|error| Failure::no(format!("the stack's URL {url} is no URL: {error}")))?
    };
    let sender = Sender::new(url)?;
    let progress = context.out.bar(format!("Delivering to {}", sender.url), args.count.into());
    let mut deliveries = Vec::new();
    for _ in 0..args.count {
        let id = args.id.clone().unwrap_or_else(new_webhook_id);
        let body = match &body {
            Body::Sample(event_type) => samples::sample(event_type).unwrap_or_default().into_bytes(),
            Body::File(body) => body.clone(),
        };
        deliveries.push(sender.deliver(&secret, id, body).await?);
        progress.step();
    }
    drop(progress);
    let all_accepted = deliveries.iter().all(|delivery| delivery.status == 200);
    context.out.result(&json!({ "url": sender.url.as_str(), "deliveries": deliveries }), || {
        let row = |delivery: &Delivered| {
            let Delivered { webhook_id, status, answer, milliseconds } = delivery;
            [webhook_id.clone(), status.to_string(), format!("{milliseconds} ms"), answer.clone()]
        };
        table(["WEBHOOK ID", "STATUS", "TIME", "ANSWER"], &deliveries.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(Exit::when(all_accepted))
}

fn body(args: &SendArgs) -> Result<Body, Failure> {
    let path = PathBuf::from(&args.what);
    if samples::types().any(|known| known == args.what) {
        return Ok(Body::Sample(args.what.clone()));
    }
    if input::is_stdin(&path) && args.secret.takes_stdin() {
        return Err(Failure::usage("stdin cannot be both the body and the secret"));
    }
    if input::is_stdin(&path) || path.exists() {
        return Ok(Body::File(input::bytes(&path, input::MAX_BODY)?));
    }
    let known: Vec<&str> = samples::types().collect();
    Err(Failure::usage(format!("{} is neither the type of a sample nor a file", visible(&args.what)))
        .hint(format!("The samples are {}.", known.join(", "))))
}

/// Makes deliveries to one URL.
pub(crate) struct Sender {
    http: reqwest::Client,
    url: Url,
}

impl Sender {
    /// To this URL. No connection is opened.
    pub(crate) fn new(url: Url) -> Result<Self, Failure> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::usage(format!("{url} is neither http nor https")));
        }
        let http = hooks_openai::http_client().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { http, url })
    }

    /// Signs a delivery and makes it, now.
    pub(crate) async fn deliver(
        &self,
        secret: &Secret,
        webhook_id: String,
        body: Vec<u8>,
    ) -> Result<Delivered, Failure> {
        let mut request = self.http.post(self.url.clone()).header("content-type", "application/json");
        for (name, value) in signing::headers(secret, &webhook_id, now(), &body) {
            request = request.header(name, value);
        }
        let begun = Instant::now();
        let (status, answer) = match timeout(TIMEOUT, answer(request.body(body))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unreached(&hooks_openai::for_display(&chain(&error)))),
            Err(_) => return Err(self.unreached(&format!("it did not answer within {} s", TIMEOUT.as_secs()))),
        };
        let milliseconds = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Ok(Delivered { webhook_id, status, answer, milliseconds })
    }

    fn unreached(&self, why: &str) -> Failure {
        Failure::remote(format!("no answer from {}: {why}", self.url))
            .hint("Is the URL right, and is it reached from here?")
    }
}

/// The status, and the beginning of the body.
async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, String), reqwest::Error> {
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

/// The error and what is beneath it.
fn chain(error: &reqwest::Error) -> String {
    let mut text = "the request failed".to_owned();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
