//! Why something did not work, in the words that stand in the stack's events.

use hooks_aws::secrets::{ReadError, WriteError};
use hooks_openai::{ApiKeyError, ErrorClass, for_display};

/// Why a request could not be done. It says what to do next, and nothing secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The template lacks something: a property and its fault.
    #[error("the resource's property {0} {1}; deploy the template as it is")]
    Property(&'static str, &'static str),
    /// Something that CloudFormation has never asked for.
    #[error("CloudFormation asked for something other than Create, Update or Delete")]
    Kind,
    #[error(
        "the OpenAI API key in the secret {0} is not set. On a new stack give an existing secret \
         (OpenAIApiKeySecretArn), or deploy with RegisterEndpoint=false first, store the key, and deploy again with \
         RegisterEndpoint=true"
    )]
    KeyUnset(String),
    #[error("the OpenAI API key in the secret {0} is unusable: {1}. Store it again, then deploy again")]
    KeyUnusable(String, ApiKeyError),
    #[error(
        "the secret {0} with the OpenAI API key could not be read: see that it exists, and that the function's role may \
         read it and use its KMS key, then deploy again. ({why})",
        why = for_display(&.1.0)
    )]
    KeyUnreadable(String, ReadError),
    #[error("{}", advice(.0))]
    OpenAi(hooks_openai::OpenAiError),
    #[error(
        "the project has more webhook endpoints than can be looked through for the stack's own; delete some in the \
         dashboard"
    )]
    TooManyEndpoints,
    #[error(
        "the endpoint is registered, but its signing secret could not be stored in {0}: see that the secret exists, and \
         that the function's role may write it and use its KMS key, then deploy again. ({why})",
        why = for_display(&.1.0)
    )]
    NotStored(String, WriteError),
    /// The function's own fault.
    #[error("the function failed by itself; its log says where. Please report it")]
    Panic,
    #[error("the time was over before OpenAI and AWS had answered. Try again later")]
    TimeIsOver,
}

impl Trouble {
    /// Whether there is no key that may do it. Waiting does not help.
    pub(crate) fn is_about_the_key(&self) -> bool {
        match self {
            Self::KeyUnset(_) | Self::KeyUnusable(..) | Self::KeyUnreadable(..) => true,
            Self::OpenAi(error) => error.class() == ErrorClass::Unauthorized,
            _ => false,
        }
    }
}

impl From<hooks_openai::OpenAiError> for Trouble {
    fn from(error: hooks_openai::OpenAiError) -> Self {
        Self::OpenAi(error)
    }
}

/// What to do about an answer of OpenAI, and the answer.
fn advice(error: &hooks_openai::OpenAiError) -> String {
    let to_do = match (error.class(), error.status()) {
        (ErrorClass::Unauthorized, Some(403)) => {
            "the API key may not manage webhook endpoints: it needs the permission api.webhooks.write, and must belong \
             to an owner of the project; admin keys are refused. Store one that may, then deploy again"
        }
        (ErrorClass::Unauthorized, _) => "OpenAI does not accept the API key: store a valid one, then deploy again",
        (ErrorClass::QuotaExhausted, _) => {
            "the OpenAI account has no credit left: see to its billing, then deploy again"
        }
        (ErrorClass::Retry, _) => "OpenAI could not be reached, or could not answer now; try again later",
        (ErrorClass::NotFound, _) => "OpenAI has no such endpoint, or no endpoints at all under OpenAIBaseUrl",
        (ErrorClass::Permanent, _) => {
            "OpenAI refused it. The name (EndpointName), the URL (WebhookBaseUrl) or an event type \
             (EndpointEventTypes) may be one that it does not take, or the project has as many endpoints as it may: \
             change the parameter, or delete an endpoint in the dashboard, then deploy again"
        }
    };
    format!("{to_do}. ({})", for_display(&error.to_string()))
}
