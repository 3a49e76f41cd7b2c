//! `endpoints`: the project's webhook endpoints at OpenAI. A new secret goes directly to the stack or a file, and is never
//! printed.

mod secret_sink;
mod write;

use clap::{Args, Subcommand};
use hooks_openai::{Client, WebhookEndpoint};
use hooks_operate::beginning::{SHORTEST, only};
use serde_json::{Value, json};

use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::output::{Decision, printable, table};
use crate::stack_endpoints::PROJECT;
use crate::timestamp::Timestamp;

/// OpenAI's maximum page size.
const PAGE: u8 = 100;

/// Maximum number of pages that are read to find an endpoint.
const MAX_PAGES: usize = 20;

/// Event types that OpenAI's API does not offer.
const DASHBOARD: &str = "An organization's endpoint (safety.warning_issued, safety.deactivation_issued) and the live.* events \
                         are available in the dashboard only: https://platform.openai.com/settings";

/// Manage the project's webhook endpoints at OpenAI (an organization's: in the dashboard only)
#[derive(Subcommand, Debug)]
pub(crate) enum EndpointsCommand {
    List(ListArgs),
    Create(write::CreateArgs),
    Update(write::UpdateArgs),
    Delete(write::DeleteArgs),
    Rotate(write::RotateArgs),
    Test(TestArgs),
    /// List the event types that the project's endpoints can have
    Types,
}

/// List the project's endpoints, newest first
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2000))]
    limit: u16,
}

/// Have OpenAI deliver a sample event, and show the answer
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Id of the endpoint, or its beginning [default: the one that delivers to the stack]
    id: Option<String>,
    /// Type of the sample
    #[arg(long, default_value = "response.completed", value_name = "TYPE")]
    event_type: String,
}

pub(crate) async fn run(command: EndpointsCommand, context: &Context) -> Result {
    match command {
        EndpointsCommand::List(args) => list(&args, context).await,
        EndpointsCommand::Create(args) => write::create(args, context).await,
        EndpointsCommand::Update(args) => write::update(args, context).await,
        EndpointsCommand::Delete(args) => write::delete(args, context).await,
        EndpointsCommand::Rotate(args) => write::rotate(args, context).await,
        EndpointsCommand::Test(args) => test(args, context).await,
        EndpointsCommand::Types => types(context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result {
    let spinner = context.out.spinner("Calling OpenAI");
    let found = all_endpoints(context.openai().await?, args.limit.into()).await?;
    drop(spinner);
    let documents: Vec<Value> = found.iter().map(document).collect();
    context.out.lines(&documents, || {
        if found.is_empty() {
            return "The project has no webhook endpoints. Create one: openai-webhooks endpoints create".to_owned();
        }
        let row = |endpoint: &WebhookEndpoint| {
            let WebhookEndpoint { id, name, url, event_types, created_at, signing_secret_hint, .. } = endpoint;
            let created = created_at.map(|seconds| Timestamp::from_seconds(seconds).text()).unwrap_or_default();
            let hint = signing_secret_hint.clone().unwrap_or_default();
            [id.clone(), name.clone(), url.clone(), event_types.len().to_string(), created, hint]
        };
        table(["ID", "NAME", "URL", "TYPES", "CREATED", "SECRET"], &found.iter().map(row).collect::<Vec<_>>())
    })
}

async fn test(args: TestArgs, context: &Context) -> Result {
    let openai = context.openai().await?;
    let id = id_or_of_stack(args.id, context).await?;
    let spinner = context.out.spinner("OpenAI delivers");
    let status = openai.test_webhook_endpoint(&id, &args.event_type, deadline()).await?;
    drop(spinner);
    context.out.result(&json!({ "endpoint": id, "event_type": args.event_type, "status": status }), || {
        let meaning = match status {
            200 => "the delivery was accepted",
            400 | 401 | 413 => {
                "the receiver refused the delivery; check that it has this endpoint's secret: openai-webhooks doctor"
            }
            404 => "the receiver has no such URL",
            503 => "the receiver has no usable signing secret; check it: openai-webhooks doctor",
            _ => "only 200 means accepted",
        };
        format!("{id} answered {status}: {meaning}")
    })?;
    Ok(Exit::success_if(status == 200))
}

async fn types(context: &Context) -> Result {
    let types = context.openai().await?.webhook_event_types(deadline()).await?;
    let documents: Vec<Value> = types.iter().map(|name| json!({ "type": name })).collect();
    context.out.lines(&documents, || types.join("\n"))?;
    if !context.out.json {
        context.out.note(&format!("\n{DASHBOARD}"));
    }
    Ok(Exit::Success)
}

/// The project's endpoints, at most `limit`.
pub(crate) async fn all_endpoints(
    openai: &Client,
    limit: usize,
) -> std::result::Result<Vec<WebhookEndpoint>, hooks_openai::OpenAiError> {
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

/// OpenAI's endpoint that delivers to an endpoint of the stack.
async fn of_stack(name: &str, context: &Context) -> Result<WebhookEndpoint> {
    let url = context.stack().await?.endpoint(name)?.url;
    let found = all_endpoints(context.openai().await?, usize::MAX).await?;
    let mut of_stack = found.into_iter().filter(|endpoint| endpoint.url == url);
    match (of_stack.next(), of_stack.next()) {
        (Some(endpoint), None) => Ok(endpoint),
        (None, _) => Err(CliError::failed(format!("no endpoint of the project delivers to {url}"))
            .hint("Create one with `openai-webhooks endpoints create`, or give the id of another one.")),
        (Some(_), Some(_)) => Err(CliError::failed(format!("several endpoints of the project deliver to {url}"))
            .hint("Give an id from `openai-webhooks endpoints list`, and delete the superfluous ones.")),
    }
}

async fn id_or_of_stack(id: Option<String>, context: &Context) -> Result<String> {
    match id {
        Some(id) => whole_id(id, context).await,
        None => Ok(of_stack(PROJECT, context).await?.id),
    }
}

/// The id of the endpoint whose id begins so; the text itself if there is none, for OpenAI to refuse.
async fn whole_id(id: String, context: &Context) -> Result<String> {
    if !id.starts_with("whe_") || id.len() < SHORTEST {
        return Ok(id);
    }
    let ids = all_endpoints(context.openai().await?, usize::MAX).await?.into_iter().map(|endpoint| endpoint.id);
    Ok(only(&id, ids)?.unwrap_or(id))
}

/// An endpoint as JSON. OpenAI's masked hint is the only part of the secret.
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

/// Reports a dry run, or that the person declined.
fn not_done(context: &Context, decision: Decision, mut document: Value, action: &str) -> Result {
    if decision == Decision::Declined {
        return Err(CliError::failed("nothing was done"));
    }
    document["dry_run"] = true.into();
    context.out.result(&document, || format!("Would {}. Nothing was done.", printable(action)))
}
