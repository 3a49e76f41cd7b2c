//! Registers the stack's webhook endpoint at OpenAI: the custom resource `Custom::OpenAIWebhookEndpoint`.
//!
//! CloudFormation asks to create, update or delete it, and waits until an answer is put to the URL in its request.
//! [`answer`] sees to it that one always is, [`registrar`] does what was asked.
//!
//! Lambda is invoked asynchronously, so a request may come twice, and does when the function died over it. Everything
//! here may therefore be done again: an endpoint that is there already is found by its name and URL.

mod answer;
mod registrar;
mod request;
mod trouble;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooks_aws::secrets::Store;
use hooks_aws::{Config, Environment, Faults};
use hooks_openai::Client;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::Desk;
use crate::registrar::Registrar;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    hooks_telemetry::init();
    let desk = set_up(Environment::of_process()).inspect_err(|faults| {
        tracing::error!("the function cannot start, its environment is wrong: {faults}");
    })?;
    let desk = &desk;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        desk.handle(event.payload, Instant::now() + left).await
    }))
    .await
}

fn set_up(mut environment: Environment) -> Result<Desk, Faults> {
    let config = Config::from_env(&mut environment);
    let key_secret = environment.required("OPENAI_API_KEY_SECRET");
    let openai = environment.parsed("OPENAI_BASE_URL", |url| {
        let http = hooks_openai::http_client().map_err(|error| format!("cannot be used: {error}"))?;
        Ok((Client::without_key(url)?, http))
    });
    environment.finish(|| {
        let (openai, http) = openai?;
        let registrar = Registrar { openai, store: Store::new(&config?), key_secret: key_secret? };
        Some(Desk { registrar: Arc::new(registrar), http })
    })
}

#[cfg(test)]
mod tests;
