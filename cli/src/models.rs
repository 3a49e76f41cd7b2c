//! `models`: fine-tuned models in production, by alias.

use clap::{Args, Subcommand};
use hooks_aws::parameters::{Parameter, ParameterError, Parameters};
use hooks_openai::ErrorClass;
use serde_json::{Value, json};

use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
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
            let parameters = Parameters::new(context.aws().await?);
            let present = parameters.get(&name(&args.alias, context).await?).await?.map(|present| present.value);
            set(&args.alias, &args.model, present.as_deref(), args.confirm, context).await
        }
        ModelsCommand::Rollback(args) => rollback(args, context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result {
    let parameters = Parameters::new(context.aws().await?);
    let path = path(context).await?;
    let spinner = context.out.spinner("Reading the models");
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (name, model) in parameters.below(&path).await? {
        let history = parameters.history(&name).await?;
        let alias = name.rsplit('/').next().unwrap_or_default().to_owned();
        let present = history.last();
        let end = present.and_then(|present| shutdown_date(&present.description));
        let previous = history.iter().rev().find(|one| one.value != model).map(|one| one.value.clone());
        let version = present.map(|present| present.version);
        let earlier =
            |one: &Parameter| json!({"version": one.version, "model": one.value, "description": one.description});
        lines.push(json!({
            "alias": alias, "model": model, "version": version, "previous": previous, "shutdown_date": end,
            "parameter": name,
            "history": args.history.then(|| history.iter().rev().map(earlier).collect::<Value>()),
        }));
        let number = |version: i64| version.to_string();
        rows.push([
            alias,
            or_dash(version.map(number).as_deref()),
            model,
            or_dash(previous.as_deref()),
            or_dash(end.as_deref()),
        ]);
        if args.history {
            let before = history.iter().rev().skip(1);
            rows.extend(before.map(|one| {
                let end = or_dash(shutdown_date(&one.description).as_deref());
                [String::new(), number(one.version), one.value.clone(), String::new(), end]
            }));
        }
    }
    drop(spinner);
    context.out.lines(&lines, || match rows.as_slice() {
        [] => format!("There are no models below {path}."),
        rows => table(["ALIAS", "VERSION", "MODEL", "BEFORE", "ENDS"], rows),
    })
}

async fn rollback(args: &RollbackArgs, context: &Context) -> Result {
    let name = name(&args.alias, context).await?;
    let history = Parameters::new(context.aws().await?).history(&name).await?;
    let Some(present) = history.last() else {
        return Err(CliError::failed(format!("there is no model with the alias {}", args.alias))
            .hint("See `openai-webhooks models list`."));
    };
    let found = match args.to {
        Some(version) => history.iter().find(|one| one.version == version),
        None => history.iter().rev().find(|one| one.value != present.value),
    };
    let Some(found) = found else {
        return Err(CliError::failed(format!("{} has no earlier model to go back to", args.alias))
            .hint("See `openai-webhooks models list --history`."));
    };
    set(&args.alias, &found.value, Some(&present.value), args.confirm, context).await
}

/// Makes a model the one of an alias, if OpenAI has it.
async fn set(alias: &str, model: &str, present: Option<&str>, confirm: ConfirmArgs, context: &Context) -> Result {
    if present == Some(model) {
        let document = json!({"alias": alias, "model": model, "previous": present, "changed": false});
        return context.out.result(&document, || format!("{alias} is {model} already."));
    }
    let end = match context.openai().await?.model(model, deadline()).await {
        Ok(found) => found.shutdown_date,
        Err(error) if error.class() == ErrorClass::NotFound => {
            return Err(CliError::failed(format!("OpenAI has no model {model} for this API key"))
                .hint("It was deleted or has ended, or it is another project's."));
        }
        Err(error) => return Err(error.into()),
    };
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
        let end = end.as_deref().map(|date| format!(" shutdown_date={date}")).unwrap_or_default();
        let who = asked_by().map(|who| format!(" by {who}")).unwrap_or_default();
        // The names are those that a job's promotion has, but no job: a job that finishes later replaces it.
        let description = format!("Model set{who} with openai-webhooks{end}");
        let name = name(alias, context).await?;
        Some(Parameters::new(context.aws().await?).put(&name, model, &description).await?)
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

/// Path of the stack's models in Parameter Store.
async fn path(context: &Context) -> Result<String> {
    Ok(format!("/{}/models", context.stack().await?.name))
}

async fn name(alias: &str, context: &Context) -> Result<String> {
    Ok(format!("{}/{alias}", path(context).await?))
}

/// The day on which OpenAI ends a model, from the description that its promotion left.
fn shutdown_date(description: &str) -> Option<String> {
    description.split(' ').find_map(|word| word.strip_prefix("shutdown_date=")).map(str::to_owned)
}

fn alias(text: &str) -> std::result::Result<String, String> {
    let fits = (1..=MAX_NAME.1).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is no alias: letters, digits, `-`, `_` and `.`", printable(text)))
    }
}

fn model(text: &str) -> std::result::Result<String, String> {
    let fits = (1..=MAX_NAME.0).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err(format!("{} is no name of a model", printable(text))) }
}

impl From<ParameterError> for CliError {
    fn from(error: ParameterError) -> Self {
        Self::service(error.to_string()).hint(
            "Your AWS identity needs ssm:GetParametersByPath, ssm:GetParameter, ssm:GetParameterHistory and, to change \
             a model, ssm:PutParameter on the stack's models.",
        )
    }
}
