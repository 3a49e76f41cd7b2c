//! What changes endpoints.

use std::path::PathBuf;

use clap::Args;
use hooks_aws::secrets::Stage;
use hooks_openai::{EndpointChange, WebhookEndpoint};
use serde_json::json;

use super::kept::Keeper;
use super::{document, endpoints, not_done, of_stack};
use crate::context::{Context, deadline};
use crate::failure::{Exit, Failure};
use crate::output::{Consent, Decision, visible};
use crate::signing::{Endpoint, stack_version};

/// Create an endpoint that delivers to the stack, and store its secret there
#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// What people call it [default: the stack's name]
    #[arg(long)]
    name: Option<String>,
    /// Where it delivers to [default: the stack's URL]
    #[arg(long, requires = "secret_out")]
    url: Option<String>,
    /// What it delivers, with commas in between, or `all` that OpenAI offers
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "TYPES")]
    event_types: Vec<String>,
    /// Put the secret into a new file (mode 0600) instead of the stack
    #[arg(long, value_name = "FILE")]
    secret_out: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

/// Change an endpoint; what is not given stays
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct UpdateArgs {
    /// The endpoint [default: the one that delivers to the stack]
    id: Option<String>,
    /// Another name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// Another URL
    #[arg(long, group = "change")]
    url: Option<String>,
    /// All that it delivers from now on, with commas in between, or `all` that OpenAI offers
    #[arg(long, value_delimiter = ',', value_name = "TYPES", group = "change")]
    event_types: Option<Vec<String>>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Delete an endpoint: OpenAI delivers nothing to it any more
#[derive(Args, Debug)]
pub(super) struct DeleteArgs {
    /// The endpoint
    id: String,
    #[command(flatten)]
    consent: Consent,
}

/// Have OpenAI make a new secret, and store it; the old one goes on for 24 hours
#[derive(Args, Debug)]
pub(super) struct RotateArgs {
    /// The endpoint [default: the one that delivers to the stack]
    id: Option<String>,
    /// End the old secret at once, because it leaked
    #[arg(long)]
    now: bool,
    /// Put the secret into a new file (mode 0600) instead of the stack
    #[arg(long, value_name = "FILE")]
    secret_out: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn create(args: CreateArgs, context: &Context) -> Result<Exit, Failure> {
    let openai = context.openai().await?;
    let url = match args.url {
        Some(url) => url,
        None => context.output(Endpoint::Project.url_output()).await?.to_owned(),
    };
    let name = args.name.unwrap_or_else(|| context.options.stack.clone());
    let spinner = context.out.spinner("Asking OpenAI");
    // Another endpoint for the same URL has another secret: every event would come twice, once refused.
    if let Some(present) = endpoints(openai, usize::MAX).await?.into_iter().find(|endpoint| endpoint.url == url) {
        return Err(Failure::no(format!("the endpoint {} delivers to {url} already", present.id)).hint(format!(
            "Change it with `endpoints update`. If its secret is not known, get a new one with `endpoints rotate {}`.",
            present.id
        )));
    }
    let event_types = event_types(args.event_types, openai).await?;
    drop(spinner);
    let replaces =
        args.secret_out.is_none() && stack_version(context, Endpoint::Project, Stage::Current).await?.is_some();
    let decision = if replaces || args.consent.dry_run {
        let question = format!(
            "The stack {} has the signing secret of another endpoint; that endpoint's deliveries will be refused in 24 \
             hours. Replace it?",
            context.options.stack
        );
        context.out.consent(args.consent, &question)?
    } else {
        Decision::Go
    };
    if decision != Decision::Go {
        let document = json!({ "name": name, "url": url, "event_types": event_types });
        return not_done(
            context,
            decision,
            document,
            &format!("create an endpoint for {url} ({} types)", event_types.len()),
        );
    }
    let keeper = keeper(args.secret_out, context).await?;
    let (endpoint, secret) = match openai.create_webhook_endpoint(&name, &url, &event_types, deadline()).await {
        Ok(created) => created,
        Err(error) => {
            keeper.discard();
            return Err(error.into());
        }
    };
    let kept = keeper.keep(&endpoint.id, &secret).await?;
    context.out.result(&json!({ "endpoint": document(&endpoint), "kept": kept.document() }), || {
        let WebhookEndpoint { id, url, event_types, .. } = &endpoint;
        format!(
            "Created {id}, which delivers {} types to {url}. {}\nTry it: openai-webhooks endpoints test {id}",
            event_types.len(),
            kept.text()
        )
    })?;
    Ok(Exit::Yes)
}

pub(super) async fn update(args: UpdateArgs, context: &Context) -> Result<Exit, Failure> {
    let openai = context.openai().await?;
    let id = id_or_of_stack(args.id, context).await?;
    let event_types = match args.event_types {
        Some(given) => Some(event_types(given, openai).await?),
        None => None,
    };
    if args.dry_run {
        let change = json!({ "id": id, "name": args.name, "url": args.url, "event_types": event_types });
        return not_done(context, Decision::Rehearse, change, &format!("change the endpoint {id}"));
    }
    let change =
        EndpointChange { name: args.name.as_deref(), url: args.url.as_deref(), event_types: event_types.as_deref() };
    let endpoint = openai.update_webhook_endpoint(&id, change, deadline()).await?;
    context.out.result(&json!({ "endpoint": document(&endpoint) }), || {
        let WebhookEndpoint { name, url, event_types, .. } = &endpoint;
        visible(&format!("{id} ({name}) delivers {} types to {url}.", event_types.len()))
    })?;
    Ok(Exit::Yes)
}

pub(super) async fn delete(args: DeleteArgs, context: &Context) -> Result<Exit, Failure> {
    let openai = context.openai().await?;
    let endpoint = openai.webhook_endpoint(&args.id, deadline()).await?;
    let question = format!("Delete {} ({}), which delivers to {}?", endpoint.id, endpoint.name, endpoint.url);
    let decision = context.out.consent(args.consent, &question)?;
    if decision != Decision::Go {
        let document = json!({ "endpoint": document(&endpoint) });
        return not_done(
            context,
            decision,
            document,
            &format!("delete {}, which delivers to {}", endpoint.id, endpoint.url),
        );
    }
    openai.delete_webhook_endpoint(&args.id, deadline()).await?;
    context.out.result(&json!({ "deleted": args.id }), || {
        format!("Deleted {}. OpenAI drops the events that it had not delivered yet.", args.id)
    })?;
    Ok(Exit::Yes)
}

pub(super) async fn rotate(args: RotateArgs, context: &Context) -> Result<Exit, Failure> {
    let openai = context.openai().await?;
    let endpoint = match args.id {
        Some(id) => openai.webhook_endpoint(&id, deadline()).await?,
        None => of_stack(context).await?,
    };
    if args.secret_out.is_none() {
        stack_can_take(&endpoint, context).await?;
    }
    let WebhookEndpoint { id, url, .. } = &endpoint;
    let decision = if args.now || args.consent.dry_run {
        let question = format!(
            "End the old secret of {id} at once? Until the receiver at {url} has read the new one, seconds later, it \
             refuses deliveries, which OpenAI repeats."
        );
        context.out.consent(args.consent, &question)?
    } else {
        Decision::Go
    };
    if decision != Decision::Go {
        let document = json!({ "endpoint": id, "old_secret_ends": if args.now { "now" } else { "in 24 hours" } });
        return not_done(context, decision, document, &format!("give {id} a new secret"));
    }
    let keeper = keeper(args.secret_out, context).await?;
    let (endpoint, secret) = match openai.rotate_webhook_secret(id, !args.now, deadline()).await {
        Ok(rotated) => rotated,
        Err(error) => {
            keeper.discard();
            return Err(error.into());
        }
    };
    let kept = keeper.keep(&endpoint.id, &secret).await?;
    context.out.result(&json!({ "endpoint": document(&endpoint), "kept": kept.document() }), || {
        let old = if args.now { "has ended at OpenAI" } else { "goes on for 24 hours" };
        let leaked = if args.now { LEAKED } else { "" };
        format!("{} has a new secret; the old one {old}. {}{leaked}", endpoint.id, kept.text())
    })?;
    Ok(Exit::Yes)
}

const LEAKED: &str = "\nThe stack itself accepts the old one for another 24 hours. If it leaked, remove its version: see \
                      docs/security.md, \"If a secret leaked\".";

/// The stack's secret is that of the endpoint that delivers to it. Any other's would lock that one out; and so would a
/// second rotation in the midst of the stack's own.
async fn stack_can_take(endpoint: &WebhookEndpoint, context: &Context) -> Result<(), Failure> {
    let url = context.output(Endpoint::Project.url_output()).await?;
    if endpoint.url != url {
        return Err(Failure::usage(format!("{} delivers to {}, not to the stack's {url}", endpoint.id, endpoint.url))
            .hint("Its secret does not belong into this stack. Put it elsewhere with --secret-out FILE."));
    }
    let pending = stack_version(context, Endpoint::Project, Stage::Pending).await?;
    let current = stack_version(context, Endpoint::Project, Stage::Current).await?;
    match pending {
        Some(pending) if current.is_none_or(|current| current.id != pending.id) => {
            Err(Failure::no("the stack is in the midst of a rotation of this secret").hint(
                "Wait until it is over. If it hangs: aws secretsmanager cancel-rotate-secret, with the stack's \
                 ProjectSigningSecretArn.",
            ))
        }
        _ => Ok(()),
    }
}

async fn keeper(secret_out: Option<PathBuf>, context: &Context) -> Result<Keeper, Failure> {
    match secret_out {
        Some(path) => Keeper::file(path),
        None => Keeper::stack(context).await,
    }
}

async fn id_or_of_stack(id: Option<String>, context: &Context) -> Result<String, Failure> {
    match id {
        Some(id) => Ok(id),
        None => Ok(of_stack(context).await?.id),
    }
}

/// The types that were given, checked against those that OpenAI offers; `all` stands for these.
async fn event_types(given: Vec<String>, openai: &hooks_openai::Client) -> Result<Vec<String>, Failure> {
    let offered = openai.webhook_event_types(deadline()).await?;
    if given == ["all"] {
        return Ok(offered);
    }
    let mut types: Vec<String> = given.iter().map(|name| name.trim().to_owned()).collect();
    types.sort();
    types.dedup();
    match types.iter().find(|name| !offered.contains(name)) {
        None => Ok(types),
        Some(unknown) if unknown.starts_with("live.") || unknown.starts_with("safety.") => {
            Err(Failure::usage(format!("{unknown} is not offered over OpenAI's API")).hint(super::DASHBOARD))
        }
        Some(unknown) => Err(Failure::usage(format!("OpenAI offers no event type {}", visible(unknown)))
            .hint("`openai-webhooks endpoints types` lists them.")),
    }
}
