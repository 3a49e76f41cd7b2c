//! The console behind the stack's HTTP API.
//!
//! | invoked as | by | does |
//! |---|---|---|
//! | the function | API Gateway | answers a request to `/console` or `/api` |
//! | its alias `viewer` | whoever IAM lets invoke the alias | gives a link by which somebody may look |
//! | its alias `operator` | whoever IAM lets invoke the alias | gives a link by which somebody may look and act |
//!
//! Which of them it is says the ARN that was invoked, never what the event holds: so no HTTP request becomes a link, and no
//! permission for one alias is good for the other. Who it is says STS, by a proof in the event.

mod gateway;

use hooks_console::{Deployed, Invitation, Role};
use hooks_function::Error;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::{RawValue, to_raw_value};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let console = hooks_function::start(Deployed::from_env)?;
    let console = &console;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Box<RawValue>>| handle(console, event).await)).await
}

async fn handle(console: &Deployed, event: LambdaEvent<Box<RawValue>>) -> Result<Box<RawValue>, Diagnostic> {
    let payload = event.payload.get();
    let arn = &event.context.invoked_function_arn;
    match alias(arn) {
        None => Ok(json(&gateway::answer(console, payload).await)?),
        Some("viewer") => invite(console, Role::Viewer, arn, payload).await,
        Some("operator") => invite(console, Role::Operator, arn, payload).await,
        Some(_) => Err(failure("WrongAlias", "invoke the alias viewer or operator, or nothing but the function")),
    }
}

async fn invite(console: &Deployed, role: Role, arn: &str, payload: &str) -> Result<Box<RawValue>, Diagnostic> {
    let invitation: Invitation = serde_json::from_str(payload).map_err(|_| {
        failure("UnusableEvent", "the event of this alias has a proof of who asks: see `console --deployed`")
    })?;
    let link = console.invite(role, arn, invitation).await.map_err(|error| failure("NoLink", &error.to_string()))?;
    json(&link)
}

/// The alias, or version, of an ARN: `arn:aws:lambda:REGION:ACCOUNT:function:NAME:ALIAS`.
fn alias(arn: &str) -> Option<&str> {
    arn.split(':').nth(7)
}

fn json(value: &impl serde::Serialize) -> Result<Box<RawValue>, Diagnostic> {
    to_raw_value(value).map_err(|error| failure("Unserializable", &error.to_string()))
}

fn failure(error_type: &str, message: &str) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_is_what_follows_the_name() {
        assert_eq!(alias("arn:aws:lambda:us-east-1:1:function:a-console"), None);
        assert_eq!(alias("arn:aws:lambda:us-east-1:1:function:a-console:operator"), Some("operator"));
    }
}
