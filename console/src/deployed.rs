//! The console behind the stack's HTTP API.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use hooks_aws::caller::{Callers, Proof};
use hooks_aws::{Config, Environment, EnvironmentError};
use hooks_function::ApiKeySecret;
use hooks_operate::stack::Stack;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tower::ServiceExt as _;

use crate::console::{App, Console, router};
use crate::http::hosted::Hosted;
use crate::http::kept::Person;
use crate::http::oidc::Provider;
use crate::http::problem::Problem;
use crate::http::session::{Door, Role};
use crate::{Failure, Result};

/// The console of the stack that this function belongs to.
pub struct Deployed {
    aws: Config,
    stack: String,
    openai: ApiKeySecret,
    url: String,
    table: String,
    provider: Option<Arc<Provider>>,
    /// Made once the stack is described.
    router: OnceCell<Router>,
}

/// What somebody asks for a link with.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Proof of who it is, for the alias that is invoked.
    pub proof: Proof,
}

/// A link to come in by.
#[derive(Deserialize, Serialize)]
pub struct Link {
    /// Address; it works once, within a minute.
    pub link: String,
}

impl Deployed {
    /// From the function's environment: `STACK_NAME`, `TABLE_NAME`, `CONSOLE_URL`, access to AWS and OpenAI, and `OIDC_...`.
    pub fn from_env(mut environment: Environment) -> std::result::Result<Self, EnvironmentError> {
        let aws = Config::from_env(&mut environment);
        let stack = environment.required("STACK_NAME");
        let table = environment.required("TABLE_NAME");
        let url = environment.required("CONSOLE_URL");
        let openai = ApiKeySecret::from_env(&mut environment, aws.as_ref());
        let provider = Provider::from_env(&mut environment, aws.as_ref()).map(Arc::new);
        environment.finish(|| {
            let (aws, stack, openai, url, table) = (aws?, stack?, openai?, url?, table?);
            Some(Self { aws, stack, openai, url, table, provider, router: OnceCell::new() })
        })
    }

    /// A link for somebody whom IAM lets invoke the alias with the ARN `alias`, and so have this role.
    pub async fn invite(&self, role: Role, alias: &str, invitation: Invitation) -> Result<Link> {
        let caller = Callers::new(&self.aws).identify(&invitation.proof, alias).await;
        let arn = caller.map_err(|error| {
            tracing::warn!(%error, role = role.word(), "console: gave no link");
            Failure::service(error.to_string())
        })?;
        let person = Person { name: name_of(&arn, alias).to_owned(), role };
        let link = Hosted::new(&self.aws, &self.url, &self.table, None)?.link(&person).await?;
        tracing::info!(who = %person.name, role = role.word(), "console: gave a link");
        Ok(Link { link })
    }

    /// Answers a request. What API Gateway says of it is an extension, [`Reached`](crate::Reached).
    pub async fn answer(&self, request: Request) -> Response {
        match self.router.get_or_try_init(|| self.describe()).await {
            Ok(router) => router.clone().oneshot(request).await.into_response(),
            Err(failure) => {
                tracing::error!("the console cannot start: {}", failure.message);
                Problem::from(failure).into_response()
            }
        }
    }

    async fn describe(&self) -> Result<Router> {
        let described = Stack::describe(&self.aws, &self.stack).await?;
        let stack = described.ok_or_else(|| Failure::service("CloudFormation does not know this stack"))?;
        let console = Console::new(&self.aws, stack, self.openai.clone().into())?;
        let door = Hosted::new(&self.aws, &self.url, &self.table, self.provider.clone())?;
        Ok(router(App { console, door: Door::Hosted(Box::new(door)) }))
    }
}

/// Name of somebody by their ARN: what follows the account, such as `user/ada`, if it is the account of `ours`.
fn name_of<'a>(arn: &'a str, ours: &str) -> &'a str {
    match arn.splitn(6, ':').nth(5) {
        Some(name) if arn.split(':').nth(4) == ours.split(':').nth(4) => name,
        _ => arn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_of_another_account_has_the_whole_arn_as_a_name() {
        let ours = "arn:aws:lambda:eu-central-1:123456789012:function:a-console:viewer";
        assert_eq!(name_of("arn:aws:iam::123456789012:user/ada", ours), "user/ada");
        assert_eq!(name_of("arn:aws:iam::123456789012:root", ours), "root");
        let other = "arn:aws:sts::210987654321:assumed-role/Ops/ada";
        assert_eq!(name_of(other, ours), other);
        assert_eq!(name_of("ada", ours), "ada");
    }
}
