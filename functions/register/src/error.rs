//! Errors of registering an endpoint, in the words that stand in the stack's events.

use hooks_aws::AwsError;
use hooks_aws::secrets::WriteError;
use hooks_function::ApiKeySecretError;
use hooks_openai::{ErrorClass, for_display};

/// Why a request could not be carried out. The text says what to do next, and nothing secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    /// A property of the resource, and its fault.
    #[error("the resource's property {0} {1}; deploy the template as it is")]
    Property(&'static str, &'static str),
    #[error("CloudFormation asked for something other than Create, Update or Delete")]
    UnknownRequest,
    #[error("{}", key_advice(.0))]
    ApiKey(#[from] ApiKeySecretError),
    #[error("{}", openai_advice(.0))]
    OpenAi(#[from] hooks_openai::OpenAiError),
    #[error(
        "the project has more webhook endpoints than can be searched for the stack's own; delete some in the dashboard"
    )]
    TooManyEndpoints,
    #[error(
        "the endpoint is registered, but its signing secret could not be stored in {0}: check that the secret exists, and \
         that the function's role may write it and use its KMS key, then deploy again. ({why})",
        why = for_display(&.1.0)
    )]
    NotStored(String, WriteError),
    #[error(
        "another attempt, or a rotation of the signing secret, is in progress and takes too long. Deploy again in a few \
         minutes"
    )]
    Busy,
    #[error("{0}. The function's role needs dynamodb:UpdateItem on the ledger's table; deploy again")]
    Ledger(#[from] AwsError),
    #[error("the function panicked; its log says where. Please report it")]
    Panic,
    #[error("OpenAI and AWS did not answer in time. Try again later")]
    OutOfTime,
}

impl RegistrationError {
    /// Whether no API key is there that may do it. Waiting does not help.
    pub(crate) fn is_about_the_key(&self) -> bool {
        match self {
            Self::ApiKey(_) => true,
            Self::OpenAi(error) => error.class() == ErrorClass::Unauthorized,
            _ => false,
        }
    }
}

fn key_advice(error: &ApiKeySecretError) -> String {
    match error {
        ApiKeySecretError::Unset(id) => format!(
            "the OpenAI API key in the secret {id} is not set. On a new stack give an existing secret \
             (OpenAIApiKeySecretArn), or deploy with RegisterEndpoint=false first, store the key, and deploy again with \
             RegisterEndpoint=true"
        ),
        ApiKeySecretError::Unusable(id, why) => {
            format!("the OpenAI API key in the secret {id} is unusable: {why}. Store it again, then deploy again")
        }
        ApiKeySecretError::Unreadable(id, why) => format!(
            "the secret {id} with the OpenAI API key could not be read: check that it exists, and that the function's \
             role may read it and use its KMS key, then deploy again. ({})",
            for_display(&why.0)
        ),
        ApiKeySecretError::Identity(_) | ApiKeySecretError::Exchange(_) => format!("{error}. Then deploy again"),
    }
}

/// Next step after an answer of OpenAI's, and the answer.
fn openai_advice(error: &hooks_openai::OpenAiError) -> String {
    let to_do = match (error.class(), error.status()) {
        (ErrorClass::Unauthorized, Some(403)) => {
            "the API key may not manage webhook endpoints: it needs the permission api.webhooks.write, and must belong \
             to an owner of the project; admin keys are refused. Store one that may, then deploy again"
        }
        (ErrorClass::Unauthorized, _) => "OpenAI does not accept the API key: store a valid one, then deploy again",
        (ErrorClass::QuotaExhausted, _) => {
            "the OpenAI account has no credit left: check its billing, then deploy again"
        }
        (ErrorClass::Retry, _) => "OpenAI could not be reached, or could not answer now; try again later",
        (ErrorClass::NotFound, _) => "OpenAI has no such endpoint, or no endpoints at all under OpenAIBaseUrl",
        (ErrorClass::TooLarge | ErrorClass::Permanent, _) => {
            "OpenAI refused it. The name (EndpointName), the URL (WebhookBaseUrl) or an event type \
             (EndpointEventTypes) may not be valid, or the project has the maximum number of endpoints: change the \
             parameter, or delete an endpoint in the dashboard, then deploy again"
        }
    };
    format!("{to_do}. ({})", for_display(&error.to_string()))
}
