//! Registers the stack's webhook endpoint at OpenAI: the custom resource `Custom::OpenAIWebhookEndpoint`.
//!
//! CloudFormation asks to create, update or delete it, and waits until an answer is put to the URL in its request.
//! [`custom_resource`] makes sure that one always is; [`registrar`] carries out the request.
//!
//! Lambda is invoked asynchronously, so a request may come twice, and does when the function died over it. Everything
//! here may therefore be repeated: an endpoint that exists already is found by its name and URL.

mod custom_resource;
mod error;
#[cfg(test)]
mod fixture;
mod registrar;
mod request;
mod retry;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hooks_aws::ledger::Ledger;
use hooks_aws::secrets::Store;
use hooks_function::{ApiKeySecret, Config, Deadline, Environment, EnvironmentError, Error};
use serde_json::Value;

use crate::custom_resource::CustomResource;
use crate::registrar::Registrar;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let resource = hooks_function::start(set_up)?;
    hooks_function::run(async |event: Value, deadline: Deadline| resource.handle(event, deadline.end()).await).await
}

fn set_up(mut environment: Environment) -> Result<CustomResource, EnvironmentError> {
    let config = Config::from_env(&mut environment);
    let ledger = Ledger::from_env(&mut environment, config.as_ref());
    let api_key = ApiKeySecret::from_env(&mut environment, config.as_ref());
    let http = hooks_openai::http_client();
    if let Err(error) = &http {
        environment.fault("the HTTP client", &format!("cannot be made: {error}"));
    }
    environment.finish(|| {
        let config = config?;
        let registrar = Registrar { api_key: api_key?, store: Store::new(&config), ledger: ledger? };
        Some(CustomResource { registrar: Arc::new(registrar), http: http.ok()? })
    })
}
