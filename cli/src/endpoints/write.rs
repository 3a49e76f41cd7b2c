//! Commands that change endpoints.

use std::path::PathBuf;

use clap::Args;
use hooks_aws::secrets::Stage;
use hooks_openai::{Client, EndpointChange, WebhookEndpoint};
use serde_json::json;

use super::secret_sink::SecretSink;
use super::{DASHBOARD, all_endpoints, document, id_or_of_stack, not_done, of_stack, whole_id};
use crate::context::{Context, deadline};
use crate::error::{CliError, Result};
use crate::interrupt;
use crate::output::{ConfirmArgs, Decision, printable};
use crate::stack_endpoints::{PROJECT, StackEndpoint, endpoint_name};

/// Prefixes of the types that a new endpoint does not get by default: OpenAI ends the Evals API, and nothing handles videos.
const NOT_BY_DEFAULT: [&str; 2] = ["eval.", "video."];

/// Step that Ctrl-C does not interrupt.
const STORING: &str = "Storing the secret that OpenAI creates, and shows once";

/// Create an endpoint that delivers to the stack, and store its secret there
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Endpoint of the stack that it delivers to
    #[arg(long, value_name = "NAME", default_value = PROJECT, value_parser = endpoint_name)]
    endpoint: String,
    /// Display name [default: the stack's name]
    #[arg(long)]
    name: Option<String>,
    /// URL to deliver to [default: the stack's]
    #[arg(long, requires = "secret_out")]
    url: Option<String>,
    /// Event types, separated by commas, or `all` that OpenAI offers [default: all except eval.* and video.*]
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    event_types: Option<Vec<String>>,
    /// Write the secret to a new file (mode 0600) instead of the stack
    #[arg(long, value_name = "FILE")]
    secret_out: Option<PathBuf>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Change an endpoint; options that are not given stay unchanged
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct UpdateArgs {
    /// Id of the endpoint, or its beginning [default: the one that delivers to the stack]
    id: Option<String>,
    /// New display name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// New URL
    #[arg(long, group = "change")]
    url: Option<String>,
    /// New list of event types, separated by commas, or `all` that OpenAI offers
    #[arg(long, value_delimiter = ',', value_name = "TYPES", group = "change")]
    event_types: Option<Vec<String>>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Delete an endpoint: OpenAI stops delivering to it
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Id of the endpoint, or its beginning
    id: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Have OpenAI create a new secret, and store it; the old one is valid for another 24 hours
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Id of the endpoint, or its beginning [default: the one that delivers to the stack]
    id: Option<String>,
    /// Endpoint of the stack that it delivers to
    #[arg(long, value_name = "NAME", default_value = PROJECT, value_parser = endpoint_name)]
    endpoint: String,
    /// End the old secret at once, because it leaked
    #[arg(long)]
    now: bool,
    /// Write the secret to a new file (mode 0600) instead of the stack
    #[arg(long, value_name = "FILE")]
    secret_out: Option<PathBuf>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) async fn create(args: CreateArgs, context: &Context) -> Result {
    let openai = context.openai().await?;
    let (of_stack, url) = if let Some(url) = args.url {
        (None, url)
    } else {
        let endpoint = context.stack().await?.endpoint(&args.endpoint)?;
        (Some(endpoint.clone()), endpoint.url)
    };
    let name = args.name.unwrap_or_else(|| context.options.stack.clone());
    let spinner = context.out.spinner("Calling OpenAI");
    // A second endpoint for the URL has another secret: each event would be delivered twice, and refused once.
    if let Some(present) = all_endpoints(openai, usize::MAX).await?.into_iter().find(|endpoint| endpoint.url == url) {
        let id = present.id;
        return Err(CliError::failed(format!("the endpoint {id} already delivers to {url}")).hint(format!(
            "Change it with `openai-webhooks endpoints update`. If its secret is lost, create a new one: openai-webhooks \
             endpoints rotate {id}"
        )));
    }
    let event_types = event_types(args.event_types, openai).await?;
    drop(spinner);
    let replaces = match (&args.secret_out, &of_stack) {
        (None, Some(of_stack)) => of_stack.version(&context.secrets().await?, Stage::Current).await?.is_some(),
        _ => false,
    };
    let decision = if replaces || args.confirm.dry_run {
        let question = format!(
            "The stack {} has the signing secret of another endpoint, whose deliveries will be refused after 24 hours. \
             Replace it?",
            context.options.stack
        );
        context.out.confirm(args.confirm, &question)?
    } else {
        Decision::Proceed
    };
    if decision != Decision::Proceed {
        let action = format!("create an endpoint for {url} ({} types)", event_types.len());
        let document = json!({ "name": name, "url": url, "event_types": event_types });
        return not_done(context, decision, document, &action);
    }
    let sink = SecretSink::new(args.secret_out, of_stack, context).await?;
    // OpenAI shows the secret once.
    let created =
        async { sink.fill(openai.create_webhook_endpoint(&name, &url, &event_types, deadline()).await).await };
    let (endpoint, stored) = interrupt::finish(STORING, context, created).await?;
    context.out.result(&json!({ "endpoint": document(&endpoint), "stored": stored.document() }), || {
        let WebhookEndpoint { id, url, event_types, .. } = &endpoint;
        format!(
            "Created {id}, which delivers {} types to {url}. {}\nTest it: openai-webhooks endpoints test {id}",
            event_types.len(),
            stored.text()
        )
    })
}

pub(super) async fn update(args: UpdateArgs, context: &Context) -> Result {
    let openai = context.openai().await?;
    let id = id_or_of_stack(args.id, context).await?;
    let event_types = match args.event_types {
        Some(given) => Some(event_types(Some(given), openai).await?),
        None => None,
    };
    if args.dry_run {
        let change = json!({ "id": id, "name": args.name, "url": args.url, "event_types": event_types });
        return not_done(context, Decision::DryRun, change, &format!("change the endpoint {id}"));
    }
    let change =
        EndpointChange { name: args.name.as_deref(), url: args.url.as_deref(), event_types: event_types.as_deref() };
    let endpoint = openai.update_webhook_endpoint(&id, change, deadline()).await?;
    context.out.result(&json!({ "endpoint": document(&endpoint) }), || {
        let WebhookEndpoint { name, url, event_types, .. } = &endpoint;
        printable(&format!("{id} ({name}) delivers {} types to {url}.", event_types.len()))
    })
}

pub(super) async fn delete(args: DeleteArgs, context: &Context) -> Result {
    let openai = context.openai().await?;
    let endpoint = openai.webhook_endpoint(&whole_id(args.id, context).await?, deadline()).await?;
    let WebhookEndpoint { id, name, url, .. } = &endpoint;
    let decision = context.out.confirm(args.confirm, &format!("Delete {id} ({name}), which delivers to {url}?"))?;
    if decision != Decision::Proceed {
        let document = json!({ "endpoint": document(&endpoint) });
        return not_done(context, decision, document, &format!("delete {id}, which delivers to {url}"));
    }
    openai.delete_webhook_endpoint(id, deadline()).await?;
    context.out.result(&json!({ "deleted": id }), || {
        format!("Deleted {id}. OpenAI drops the events that it had not delivered yet.")
    })
}

pub(super) async fn rotate(args: RotateArgs, context: &Context) -> Result {
    let openai = context.openai().await?;
    let endpoint = match args.id {
        Some(id) => openai.webhook_endpoint(&whole_id(id, context).await?, deadline()).await?,
        None => of_stack(&args.endpoint, context).await?,
    };
    let of_stack = match args.secret_out {
        Some(_) => None,
        None => Some(rotatable(&endpoint, &args.endpoint, context).await?),
    };
    let WebhookEndpoint { id, url, .. } = &endpoint;
    let decision = if args.now || args.confirm.dry_run {
        let question = format!(
            "End the old secret of {id} at once? Until the receiver at {url} has read the new one, within a minute, it \
             refuses deliveries, which OpenAI repeats."
        );
        context.out.confirm(args.confirm, &question)?
    } else {
        Decision::Proceed
    };
    if decision != Decision::Proceed {
        let document = json!({ "endpoint": id, "old_secret_ends": if args.now { "now" } else { "in 24 hours" } });
        return not_done(context, decision, document, &format!("create a new secret for {id}"));
    }
    let sink = SecretSink::new(args.secret_out, of_stack, context).await?;
    let rotated = async { sink.fill(openai.rotate_webhook_secret(id, !args.now, deadline()).await).await };
    let (endpoint, stored) = interrupt::finish(STORING, context, rotated).await?;
    context.out.result(&json!({ "endpoint": document(&endpoint), "stored": stored.document() }), || {
        let old = if args.now { "has ended at OpenAI" } else { "is valid for another 24 hours" };
        let leaked = if args.now { LEAKED } else { "" };
        format!("{} has a new secret; the old one {old}. {}{leaked}", endpoint.id, stored.text())
    })
}

const LEAKED: &str = "\nThe stack itself accepts the old one for another 24 hours. If it leaked, remove its version: see \
                      docs/security.md, \"If a secret leaked\".";

/// The stack's endpoint that takes the secret.
async fn rotatable(endpoint: &WebhookEndpoint, name: &str, context: &Context) -> Result<StackEndpoint> {
    let of_stack = context.stack().await?.endpoint(name)?;
    of_stack.takes_secret_of(&endpoint.id, &endpoint.url, &context.secrets().await?).await?;
    Ok(of_stack)
}

/// Event types from an argument, checked against those that OpenAI offers.
async fn event_types(given: Option<Vec<String>>, openai: &Client) -> Result<Vec<String>> {
    let mut offered = openai.webhook_event_types(deadline()).await?;
    let Some(mut types) = given else {
        offered.retain(|name| !NOT_BY_DEFAULT.iter().any(|prefix| name.starts_with(prefix)));
        return Ok(offered);
    };
    if types == ["all"] {
        return Ok(offered);
    }
    for name in &mut types {
        *name = name.trim().to_owned();
    }
    types.sort();
    types.dedup();
    match types.iter().find(|name| !offered.contains(name)) {
        None => Ok(types),
        Some(name) if name.starts_with("live.") || name.starts_with("safety.") => {
            Err(CliError::usage(format!("OpenAI's API does not offer {name}")).hint(DASHBOARD))
        }
        Some(name) => Err(CliError::usage(format!("{} is not an event type of OpenAI's", printable(name)))
            .hint("List them: openai-webhooks endpoints types")),
    }
}
