//! `jobs`: replays and redrives of many events, each under a name. They are listed, shown and resumed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Subcommand};
use hooks_aws::queue::QueueSender;
use hooks_operate::job::{
    Job, JobKind, JobReport, Jobs, NewJob, ReplayQueues, check_name, new_name, run_redrive, run_replay,
};
use hooks_webhook::Category;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{counted, key_values, or_dash, table};

/// Exit code of a process that a second Ctrl-C ends: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// List, show and resume replays and redrives
#[derive(Subcommand, Debug)]
pub(crate) enum JobsCommand {
    List(ListArgs),
    Show(ShowArgs),
    Resume(ShowArgs),
}

/// List the jobs, newest first
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks jobs list --limit 5")]
pub(crate) struct ListArgs {
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// One job: its filter, who asked for it, and how far it is; `resume` goes on with it
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks jobs resume replay-20261121-0315-9f3a")]
pub(crate) struct ShowArgs {
    /// Name of the job, or its beginning
    name: String,
}

/// Name of a job that begins.
#[derive(Args, Debug)]
pub(crate) struct NameArgs {
    /// Name of the job, in lower-case letters, digits and hyphens [default: made of the time]
    #[arg(long = "name", value_name = "NAME")]
    name: Option<String>,
}

impl NameArgs {
    /// Checks the name before anything else is done.
    pub(crate) fn check(&self) -> Result<()> {
        self.name.as_deref().map_or(Ok(()), |name| Ok(check_name(name)?))
    }

    pub(crate) fn name(&self, kind: JobKind) -> String {
        self.name.clone().unwrap_or_else(|| new_name(kind))
    }
}

pub(crate) async fn run(command: &JobsCommand, context: &Context) -> Result {
    match command {
        JobsCommand::List(args) => list(args, context).await,
        JobsCommand::Show(args) => {
            let job = job(&args.name, context).await?;
            context.out.result(&json!(job), || text(&job))
        }
        JobsCommand::Resume(args) => {
            let job = job(&args.name, context).await?;
            if job.is_done {
                return context.out.result(&json!({"job": job}), || format!("{} is done.", job.name));
            }
            work(&job, context, &mut json!({})).await
        }
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result {
    let jobs = Jobs::new(context.ledger().await?).list(args.limit.into()).await?;
    context.out.lines(&jobs, || match jobs.as_slice() {
        [] => "There are no jobs.".to_owned(),
        jobs => {
            let row = |job: &Job| {
                [
                    job.created_at.text(),
                    job.kind.as_str().to_owned(),
                    state(job),
                    format!("{}/{}", job.sent + job.left_out, job.total),
                    or_dash(job.asked_by.as_deref()),
                    job.name.clone(),
                ]
            };
            table(["BEGAN (UTC)", "KIND", "STATE", "DONE", "BY", "NAME"], &jobs.iter().map(row).collect::<Vec<_>>())
        }
    })
}

async fn job(name: &str, context: &Context) -> Result<Job> {
    check_name(name)?;
    let found = Jobs::new(context.ledger().await?).find(name).await?;
    found.ok_or_else(|| {
        CliError::failed(format!("{} has no job {name}", context.options.stack))
            .hint("See `openai-webhooks jobs list`.")
    })
}

/// Writes a job and does it. `document` gets what the job says.
pub(crate) async fn begin(new: &NewJob, context: &Context, document: &mut Value) -> Result {
    let job = Jobs::new(context.ledger().await?).create(new).await?;
    if !context.out.json {
        context.out.note(&format!("Job {} of {}.", job.name, counted(job.total, noun(job.kind))));
    }
    work(&job, context, document).await
}

/// Does what is left of a job, until Ctrl-C.
async fn work(job: &Job, context: &Context, document: &mut Value) -> Result {
    let jobs = Jobs::new(context.ledger().await?);
    let bar = context.out.bar(job.name.clone(), job.total);
    bar.set_position(job.total - job.open());
    let stopped = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(Arc::clone(&stopped)));
    let is_stopped = || stopped.load(Ordering::Relaxed);
    let progress = |done| bar.set_position(done);
    let result = match job.kind {
        JobKind::Replay => {
            let (log, queues) = (context.event_log().await?, replay_queues(context).await?);
            run_replay(&jobs, &log, &queues, job, is_stopped, progress).await
        }
        JobKind::Redrive => {
            let mut queues = BTreeMap::new();
            for category in Category::ALL {
                queues.insert(category, context.dead_letter_queue(category).await?);
            }
            run_redrive(&jobs, &queues, job, is_stopped, progress).await
        }
    };
    watcher.abort();
    drop(bar);
    let resume = format!("openai-webhooks jobs resume {}", job.name);
    let report = result.map_err(|error| {
        let error = CliError::from(error);
        CliError::service(format!("the job {} stopped: {}", job.name, error.message))
            .hint(format!("Go on with `{resume}`: no event is handled twice."))
    })?;
    document["job"] = json!(report.job);
    document["left_out"] = report.left_out.iter().map(|(key, why)| json!({"key": key, "why": why})).collect();
    if job.kind == JobKind::Redrive {
        let letters = &report.letters;
        document["letters"] = letters.letters.into();
        document["copied"] = letters.copied.into();
        document["gone"] = report.job.left_out.into();
        document["refused"] = letters.refused.into();
        document["cause"] = letters.cause.clone().into();
    }
    context.out.result(document, || done_text(&report, &resume))?;
    Ok(Exit::success_if(!report.is_stopped && report.letters.refused == 0 && report.job.is_done))
}

async fn replay_queues(context: &Context) -> Result<ReplayQueues> {
    let mut urls = BTreeMap::new();
    for category in Category::ALL {
        urls.insert(category.to_string(), context.queue_url(category).await?.to_owned());
    }
    Ok(ReplayQueues { sender: QueueSender::new(context.aws().await?), urls })
}

/// The first Ctrl-C lets the calls under way end, a second one ends the process: the job can be resumed in any case.
async fn watch(stopped: Arc<AtomicBool>) {
    while ctrl_c().await.is_ok() {
        if stopped.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED);
        }
    }
}

fn noun(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Replay => "event",
        JobKind::Redrive => "dead letter",
    }
}

fn state(job: &Job) -> String {
    if job.is_done { "done".to_owned() } else { format!("{} left", job.open()) }
}

fn done_text(report: &JobReport, resume: &str) -> String {
    let job = &report.job;
    let participle = match job.kind {
        JobKind::Replay => "Replayed",
        JobKind::Redrive => "Redriven:",
    };
    let mut text = format!("{participle} {}", counted(job.sent, noun(job.kind)));
    if job.left_out > 0 {
        let _ = write!(text, ", {} left out", job.left_out);
    }
    if report.letters.refused > 0 {
        let cause = report.letters.cause.as_deref().unwrap_or("SQS gave no cause");
        let _ = write!(text, ", {} refused: {cause}", report.letters.refused);
    }
    for (key, why) in &report.left_out {
        let _ = write!(text, "\n  {}: {why}", key.replacen('#', "/", 1));
    }
    if !job.is_done {
        let _ = write!(text, "\n{} left. Go on: {resume}", job.open());
    } else if job.kind == JobKind::Replay {
        text += ". Their results: openai-webhooks events list";
    }
    text
}

fn text(job: &Job) -> String {
    let mut rows = vec![
        ("job", job.name.clone()),
        ("kind", job.kind.as_str().to_owned()),
        ("state", state(job)),
        ("done", format!("{} sent, {} left out, of {}", job.sent, job.left_out, job.total)),
        ("by", or_dash(job.asked_by.as_deref())),
        ("began", format!("{} UTC, {}", job.created_at.text(), job.created_at.ago())),
        ("worked on", format!("{} UTC, {}", job.updated_at.text(), job.updated_at.ago())),
        ("filter", job.filter.to_string()),
    ];
    if !job.is_done {
        rows.push(("go on", format!("openai-webhooks jobs resume {}", job.name)));
    }
    key_values(&rows)
}
