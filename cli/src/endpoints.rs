//! `endpoints`: the project's webhook endpoints at OpenAI. A secret that OpenAI makes goes straight to where it is kept,
//! and is never printed.

mod kept;
mod write;

use clap::{Args, Subcommand};
use hooks_openai::WebhookEndpoint;
use serde_json::{Value, json};

use crate::context::{Context, deadline};
use crate::failure::{Exit, Failure};
use crate::output::{Decision, table, visible};
use crate::signing::Endpoint;
use crate::when::Moment;

/// The most endpoints that OpenAI gives in one page.
const PAGE: u8 = 100;

/// So many pages are read when an endpoint is looked for.
const MAX_PAGES: usize = 20;

/// Where OpenAI's API ends.
const DASHBOARD: &str = "An organization's endpoint (safety.warning_issued, safety.deactivation_issued) and the live.* events \
                         exist in the dashboard alone: https://platform.openai.com/settings";

/// Manage the project's webhook endpoints at OpenAI (an organization's: in the dashboard alone)
#[derive(Args, Debug)]
pub(crate) struct EndpointsCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(ListArgs),
    Create(write::CreateArgs),
    Update(write::UpdateArgs),
    Delete(write::DeleteArgs),
    Rotate(write::RotateArgs),
    Test(TestArgs),
    Types(TypesArgs),
}

/// List the project's endpoints, the newest first
#[derive(Args, Debug)]
struct ListArgs {
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2000))]
    limit: u16,
}

/// Have OpenAI deliver a sample event, and show how it was answered
#[derive(Args, Debug)]
struct TestArgs {
    /// The endpoint [default: the one that delivers to the stack]
    id: Option<String>,
    /// The type of the sample
    #[arg(long, default_value = "response.completed", value_name = "TYPE")]
    event_type: String,
}

/// List the event types that the project's endpoints may have
#[derive(Args, Debug)]
struct TypesArgs {}

pub(crate) async fn run(args: EndpointsCommand, context: &Context) -> Result<Exit, Failure> {
    match args.command {
        Command::List(args) => list(&args, context).await,
        Command::Create(args) => write::create(args, context).await,
        Command::Update(args) => write::update(args, context).await,
        Command::Delete(args) => write::delete(args, context).await,
        Command::Rotate(args) => write::rotate(args, context).await,
        Command::Test(args) => test(args, context).await,
        Command::Types(TypesArgs {}) => types(context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let spinner = context.out.spinner("Asking OpenAI");
    let found = endpoints(context.openai().await?, args.limit.into()).await?;
    drop(spinner);
    let documents: Vec<Value> = found.iter().map(document).collect();
    context.out.result(&json!({ "endpoints": documents }), || {
        let row = |endpoint: &WebhookEndpoint| {
            let WebhookEndpoint { id, name, url, event_types, created_at, signing_secret_hint, .. } = endpoint;
            let created = created_at.map(|seconds| Moment::of_seconds(seconds).text()).unwrap_or_default();
            let hint = signing_secret_hint.clone().unwrap_or_default();
            [id.clone(), name.clone(), url.clone(), event_types.len().to_string(), created, hint]
        };
        let rows: Vec<_> = found.iter().map(row).collect();
        if rows.is_empty() {
            return "The project has no webhook endpoints. Create one: openai-webhooks endpoints create".to_owned();
        }
        table(["ID", "NAME", "URL", "TYPES", "CREATED", "SECRET"], &rows)
    })?;
    Ok(Exit::Yes)
}

async fn test(args: TestArgs, context: &Context) -> Result<Exit, Failure> {
    let openai = context.openai().await?;
    let id = match args.id {
        Some(id) => id,
        None => of_stack(context).await?.id,
    };
    let spinner = context.out.spinner("OpenAI delivers");
    let status = openai.test_webhook_endpoint(&id, &args.event_type, deadline()).await?;
    drop(spinner);
    context.out.result(&json!({ "endpoint": id, "event_type": args.event_type, "status": status }), || {
        let meaning = match status {
            200 => "the delivery was accepted",
            400 | 401 | 413 => {
                "the receiver refuses the delivery: has it the secret of this endpoint? (openai-webhooks doctor)"
            }
            404 => "the receiver knows no such URL",
            503 => "the receiver has no usable signing secret (openai-webhooks doctor)",
            _ => "only 200 counts",
        };
        format!("{id} answered {status}: {meaning}")
    })?;
    Ok(Exit::when(status == 200))
}

async fn types(context: &Context) -> Result<Exit, Failure> {
    let types = context.openai().await?.webhook_event_types(deadline()).await?;
    context.out.result(&json!({ "event_types": types }), || types.join("\n"))?;
    if !context.options.json {
        context.out.note(&format!("\n{DASHBOARD}"));
    }
    Ok(Exit::Yes)
}

/// The project's endpoints, at most `limit`.
pub(crate) async fn endpoints(
    openai: &hooks_openai::Client,
    limit: usize,
) -> Result<Vec<WebhookEndpoint>, hooks_openai::OpenAiError> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = openai.webhook_endpoints(after.as_deref(), PAGE, deadline()).await?;
        found.extend(page.items);
        after = page.next;
        if after.is_none() || found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The endpoint that delivers to the stack's URL for projects.
async fn of_stack(context: &Context) -> Result<WebhookEndpoint, Failure> {
    let url = context.output(Endpoint::Project.url_output()).await?;
    let found = endpoints(context.openai().await?, usize::MAX).await?;
    let mut of_stack = found.into_iter().filter(|endpoint| endpoint.url == url);
    match (of_stack.next(), of_stack.next()) {
        (Some(endpoint), None) => Ok(endpoint),
        (None, _) => Err(Failure::no(format!("no endpoint of the project delivers to {url}"))
            .hint("Create one with `openai-webhooks endpoints create`, or name one by its id.")),
        (Some(_), Some(_)) => Err(Failure::no(format!("several endpoints of the project deliver to {url}"))
            .hint("Name one by its id. `openai-webhooks endpoints list` has them; delete those that are too many.")),
    }
}

/// An endpoint as a document. OpenAI's masked hint is all that it has of the secret.
fn document(endpoint: &WebhookEndpoint) -> Value {
    json!({
        "id": endpoint.id,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "signing_secret_hint": endpoint.signing_secret_hint,
    })
}

/// Says what would be done, or that nothing was.
fn not_done(context: &Context, decision: Decision, document: Value, would: &str) -> Result<Exit, Failure> {
    if decision == Decision::Stop {
        return Err(Failure::no("nothing was done"));
    }
    let mut document = document;
    document["dry_run"] = true.into();
    context.out.result(&document, || format!("Would {}. Nothing was done.", visible(would)))?;
    Ok(Exit::Yes)
}
