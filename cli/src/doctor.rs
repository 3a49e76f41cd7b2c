//! `doctor`: whether everything is set up, each finding with its fix.

mod at_openai;
mod in_aws;

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::visible;

/// Check the whole set-up: stack, secrets, API key, endpoint, queues
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Also make a signed delivery to the stack, which its archive keeps as doctor.delivery, and have OpenAI make one of
    /// a sample event
    #[arg(long)]
    deliver: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    /// Worth knowing; it may be meant so.
    Warning,
    /// Something does not work.
    Error,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    level: Level,
    detail: String,
    fix: Option<String>,
}

/// Everything that was found, in the order of the checks.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Finding { check: check.into(), level: Level::Ok, detail: detail.into(), fix: None });
    }

    fn warn(&mut self, check: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) {
        let (detail, fix) = (detail.into(), Some(fix.into()));
        self.0.push(Finding { check: check.into(), level: Level::Warning, detail, fix });
    }

    fn error(&mut self, check: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) {
        let (detail, fix) = (detail.into(), Some(fix.into()));
        self.0.push(Finding { check: check.into(), level: Level::Error, detail, fix });
    }

    /// A check that could not be made.
    fn unknown(&mut self, check: impl Into<String>, failure: Failure) {
        let fix = failure.hint.unwrap_or_else(|| "Try again.".to_owned());
        self.error(check, failure.message, fix);
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}

pub(crate) async fn run(args: &DoctorArgs, context: &Context) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    let progress = context.out.spinner("Looking at the stack");
    let is_there = in_aws::stack(context, &mut findings).await?;
    if is_there {
        progress.say("Looking at the secrets");
        let key = in_aws::secrets(context, &mut findings).await;
        progress.say("Asking OpenAI");
        if let Some(key) = key {
            at_openai::check(key, args.deliver, context, &mut findings).await;
        }
        progress.say("Looking at the queues");
        in_aws::queues(context, &mut findings).await;
        if args.deliver {
            progress.say("Making a delivery");
            in_aws::deliver(context, &mut findings).await;
        }
    }
    drop(progress);
    let (errors, warnings) = (findings.count(Level::Error), findings.count(Level::Warning));
    let healthy = errors == 0;
    context.out.result(&json!({ "healthy": healthy, "findings": findings.0 }), || text(&findings, errors, warnings))?;
    Ok(Exit::when(healthy))
}

fn text(findings: &Findings, errors: usize, warnings: usize) -> String {
    let width = findings.0.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { check, level, detail, fix } in &findings.0 {
        let mark = match level {
            Level::Ok => "ok",
            Level::Warning => "warn",
            Level::Error => "ERROR",
        };
        let _ = writeln!(text, "{mark:5}  {check:width$}  {}", visible(detail));
        if let Some(fix) = fix {
            let _ = writeln!(text, "{:5}  {:width$}  -> {fix}", "", "");
        }
    }
    let summary = match (errors, warnings) {
        (0, 0) => "Everything is set up.".to_owned(),
        (0, warnings) => format!("It works; {} worth a look.", counted(warnings as u64, "thing is", "things are")),
        (errors, _) => format!("{} must be fixed.", counted(errors as u64, "thing", "things")),
    };
    text + "\n" + &summary
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
