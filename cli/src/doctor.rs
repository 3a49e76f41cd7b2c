//! `doctor`: checks of the whole set-up, each finding with its fix.

mod identity;
mod openai;
mod people;
mod stack;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::checklist;

/// Check the whole set-up: stack, secrets, API key, endpoint, policy for calls, alerts, expectations, queues
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Also make a signed delivery to the stack, which its archive stores as doctor.delivery, and have OpenAI deliver a
    /// sample event
    #[arg(long)]
    deliver: bool,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    /// May be intended.
    Warning,
    /// Something does not work.
    Error,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    level: Level,
    detail: String,
    fix: Option<String>,
}

/// All findings, in the order of the checks.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: impl Into<String>, detail: impl Into<String>) {
        self.add(check, Level::Ok, detail, None);
    }

    fn warn(&mut self, check: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Level::Warning, detail, Some(fix.into()));
    }

    fn error(&mut self, check: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Level::Error, detail, Some(fix.into()));
    }

    /// A check that could not be made.
    fn failed(&mut self, check: impl Into<String>, error: CliError) {
        self.error(check, error.message, error.hint.unwrap_or_else(|| "Try again.".to_owned()));
    }

    fn add(&mut self, check: impl Into<String>, level: Level, detail: impl Into<String>, fix: Option<String>) {
        self.0.push(Finding { check: check.into(), level, detail: detail.into(), fix });
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}

pub(crate) async fn run(args: &DoctorArgs, context: &Context) -> Result {
    let mut findings = Findings::default();
    let progress = context.out.spinner("Checking the stack");
    if stack::check(context, &mut findings).await? {
        progress.set_message("Checking the secrets");
        let client = stack::secrets(context, &mut findings).await;
        progress.set_message("Checking OpenAI");
        if let Some(client) = client {
            openai::check(&client, args.deliver, context, &mut findings).await;
        }
        progress.set_message("Checking the policy for calls");
        stack::call_policy(context, &mut findings).await;
        progress.set_message("Checking the alerts and what is expected");
        people::alerts(context, &mut findings).await;
        people::expectations(context, &mut findings).await;
        progress.set_message("Checking the queues");
        stack::queues(context, &mut findings).await;
        if args.deliver {
            progress.set_message("Making a delivery");
            stack::deliver(context, &mut findings).await;
        }
    }
    drop(progress);
    let healthy = findings.count(Level::Error) == 0;
    context.out.result(&json!({ "healthy": healthy, "findings": findings.0 }), || text(&findings))?;
    Ok(Exit::success_if(healthy))
}

fn text(findings: &Findings) -> String {
    let mark = |level| match level {
        Level::Ok => "ok",
        Level::Warning => "warn",
        Level::Error => "ERROR",
    };
    let rows = findings.0.iter().map(|one| (mark(one.level), one.check.as_str(), one.detail.as_str(), &one.fix));
    let text = checklist(5, &rows.collect::<Vec<_>>());
    text + "\n"
        + &match (findings.count(Level::Error), findings.count(Level::Warning)) {
            (0, 0) => "Everything is set up.".to_owned(),
            (0, warnings) => format!("No errors. Warnings: {warnings}."),
            (errors, warnings) => format!("Errors: {errors}. Warnings: {warnings}."),
        }
}
