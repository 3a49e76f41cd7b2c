//! `models`: fine-tuned models in production, by alias.

use clap::{Args, Subcommand};
use hooks_aws::parameters::Parameter;
use hooks_operate::models::{Models, end_of, shutdown_date};
use serde_json::{Value, json};

use crate::context::{Context, deadline};
use crate::error::{Exit, Result};
use crate::events::asked_by;
use crate::output::{ConfirmArgs, Decision, or_dash, printable, table};

/// Longest name of a model and of an alias.
const MAX_NAME: (usize, usize) = (128, 64);

/// List the models in production, promote one, or go back to the one before
#[derive(Subcommand, Debug)]
pub(crate) enum ModelsCommand {
    List(ListArgs),
    Promote(PromoteArgs),
    Rollback(RollbackArgs),
}

/// List the aliases with their models
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks models list --history")]
pub(crate) struct ListArgs {
    /// Also the earlier models of each alias
    #[arg(long)]
    history: bool,
}

/// Make a model the one that programs read under an alias
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks models promote support ft:gpt-4.1-mini:acme:support:B1")]
pub(crate) struct PromoteArgs {
    /// Alias, the last part of the parameter's name
    #[arg(value_parser = alias)]
    alias: String,
    /// Name of the model at OpenAI
    #[arg(value_parser = model)]
    model: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Go back to the model that an alias had before, until the next fine-tuning job finishes
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks models rollback support")]
pub(crate) struct RollbackArgs {
    /// Alias, the last part of the parameter's name
    #[arg(value_parser = alias)]
    alias: String,
    /// Version to go back to, as in `models list --history` [default: the last one with another model]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    to: Option<i64>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) async fn run(command: &ModelsCommand, context: &Context) -> Result {
    match command {
        ModelsCommand::List(args) => list(args, context).await,
        ModelsCommand::Promote(args) => {
            let present = models(context).await?.model(&args.alias).await?;
            set(&args.alias, &args.model, present.as_deref(), args.confirm, context).await
        }
        ModelsCommand::Rollback(args) => rollback(args, context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result {
    let models = models(context).await?;
    let spinner = context.out.spinner("Reading the models");
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for found in models.list().await? {
        let (alias, history) = (found.name, found.history);
        let Some(present) = history.last() else { continue };
        let (model, version) = (present.value.clone(), present.version);
        let end = shutdown_date(&present.description);
        let previous = history.iter().rev().find(|one| one.value != model).map(|one| one.value.clone());
        let earlier =
            |one: &Parameter| json!({"version": one.version, "model": one.value, "description": one.description});
        lines.push(json!({
            "alias": alias, "model": model, "version": version, "previous": previous, "shutdown_date": end,
            "parameter": found.parameter,
            "history": args.history.then(|| history.iter().rev().map(earlier).collect::<Value>()),
        }));
        let number = |version: i64| version.to_string();
        rows.push([alias, number(version), model, or_dash(previous.as_deref()), or_dash(end)]);
        if args.history {
            let before = history.iter().rev().skip(1);
            rows.extend(before.map(|one| {
                let end = or_dash(shutdown_date(&one.description));
                [String::new(), number(one.version), one.value.clone(), String::new(), end]
            }));
        }
    }
    drop(spinner);
    context.out.lines(&lines, || match rows.as_slice() {
        [] => format!("There are no models below {}.", models.path()),
        rows => table(["ALIAS", "VERSION", "MODEL", "BEFORE", "ENDS"], rows),
    })
}

async fn rollback(args: &RollbackArgs, context: &Context) -> Result {
    let alias = models(context).await?.alias(&args.alias).await?;
    let present = alias.present().map(|present| present.value.clone());
    let found = alias.earlier(args.to)?;
    set(&args.alias, &found.value, present.as_deref(), args.confirm, context).await
}

/// Makes a model the one of an alias, if OpenAI has it.
async fn set(alias: &str, model: &str, present: Option<&str>, confirm: ConfirmArgs, context: &Context) -> Result {
    if present == Some(model) {
        let document = json!({"alias": alias, "model": model, "previous": present, "changed": false});
        return context.out.result(&document, || format!("{alias} is {model} already."));
    }
    let end = end_of(context.openai().await?, model, deadline()).await?;
    let ends = end.as_deref().map(|date| format!(" OpenAI ends it on {date}.")).unwrap_or_default();
    let instead = present.map(|present| format!(" instead of {present}")).unwrap_or_default();
    let question = format!("Make {model} the model of {alias}{instead}?{ends}");
    let decision = context.out.confirm(confirm, &question)?;
    if decision == Decision::Declined {
        return Ok(Exit::Failure);
    }
    let dry_run = decision == Decision::DryRun;
    let version = if dry_run {
        None
    } else {
        Some(models(context).await?.set(alias, model, end.as_deref(), asked_by().as_deref()).await?)
    };
    let document = json!({
        "dry_run": dry_run, "alias": alias, "model": model, "previous": present, "version": version,
        "shutdown_date": end, "changed": !dry_run,
    });
    context.out.result(&document, || {
        let verb = if dry_run { "would be" } else { "is" };
        format!("{alias} {verb} {model}{instead}.{ends}")
    })
}

async fn models(context: &Context) -> Result<Models> {
    Ok(Models::new(context.aws().await?, &context.stack().await?.name))
}

fn alias(text: &str) -> std::result::Result<String, String> {
    let fits = (1..=MAX_NAME.1).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is not an alias: letters, digits, `-`, `_` and `.`", printable(text)))
    }
}

fn model(text: &str) -> std::result::Result<String, String> {
    let fits = (1..=MAX_NAME.0).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err(format!("{} is not the name of a model", printable(text))) }
}
