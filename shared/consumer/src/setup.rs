//! Start of a consumer function.

use aws_lambda_events::sqs::SqsEvent;
use hooks_aws::alerts::Alerts;
use hooks_aws::artifacts::Artifacts;
use hooks_aws::ledger::Ledger;
use hooks_aws::outcomes::Outcomes;
use hooks_aws::queue::ConsumerQueue;
use hooks_function::{ApiKeySecret, Config, Deadline, Environment, EnvironmentError, Error};
use hooks_openai::Client;
use hooks_webhook::Category;

use crate::harness::Services;
use crate::{Handler, Harness, OpenAi};

/// Parts that a handler is made from.
pub struct Setup<'a> {
    environment: &'a mut Environment,
    config: Option<&'a Config>,
    client: Option<Client>,
    openai: Option<OpenAi>,
}

impl Setup<'_> {
    /// The function's environment, for settings of the handler's own. Faults noted there are reported with all others.
    pub fn environment(&mut self) -> &mut Environment {
        self.environment
    }

    /// The way to OpenAI, for handlers that call it.
    ///
    /// From `OPENAI_BASE_URL` and `OPENAI_API_KEY_SECRET` (the secret's id or ARN); the function needs
    /// `secretsmanager:GetSecretValue` on that secret. A function whose handler does not ask needs none of them. When
    /// OpenAI refuses the key, the harness looks whether it was rotated, and has the event tried again if so.
    pub fn openai(&mut self) -> Option<OpenAi> {
        let secret = match self.client.take() {
            client @ Some(_) => ApiKeySecret::with_client(client, self.environment, self.config),
            None => ApiKeySecret::from_env(self.environment, self.config),
        };
        let openai = OpenAi::from(secret?);
        self.openai = Some(openai.clone());
        Some(openai)
    }

    /// The parameters of Systems Manager, for handlers that keep settings there.
    pub fn parameters(&self) -> Option<hooks_aws::parameters::Parameters> {
        self.config.map(hooks_aws::parameters::Parameters::new)
    }

    /// The configuration of AWS, for handlers that ask more of it than the harness does.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config
    }

    /// Another bucket than the stack's own, for handlers that keep settings there.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Option<Artifacts> {
        Some(Artifacts::new(self.config?, name))
    }
}

impl<H: Handler> Harness<H> {
    /// Reads the environment and puts everything together; `handler` makes the handler, or returns `None` when the
    /// environment lacks something. `MAX_RECEIVES` is the receive at which a failing record is given up.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the environment, by name.
    pub fn new(
        category: Category,
        mut environment: Environment,
        handler: impl FnOnce(&mut Setup<'_>) -> Option<H>,
    ) -> Result<Self, EnvironmentError> {
        let config = Config::from_env(&mut environment);
        Self::over(config, None, category, environment, handler)
    }

    /// The same over these ways to AWS and to OpenAI, for simulations.
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new).
    pub fn over(
        config: Option<Config>,
        client: Option<Client>,
        category: Category,
        mut environment: Environment,
        handler: impl FnOnce(&mut Setup<'_>) -> Option<H>,
    ) -> Result<Self, EnvironmentError> {
        let ledger = Ledger::from_env(&mut environment, config.as_ref());
        let bucket = environment.required("BUCKET_NAME");
        let bus = environment.required("BUS_NAME");
        let topic = environment.required("ALERTS_TOPIC_ARN");
        let queue = environment.required("QUEUE_URL");
        let dead_letter_queue = environment.required("DEAD_LETTER_QUEUE_URL");
        let masks = environment.optional("MASK_CALLERS").as_deref() != Some("false");
        let max_receives = environment.parsed("MAX_RECEIVES", |text| {
            text.parse().ok().filter(|&receives: &u32| receives > 0).ok_or_else(|| "is not a number above 0".to_owned())
        });
        let ledger = ledger.map(|ledger| ledger.masking(masks));
        let mut setup = Setup { environment: &mut environment, config: config.as_ref(), client, openai: None };
        let handler = handler(&mut setup);
        let openai = setup.openai;
        environment.finish(|| {
            let config = config?;
            let (ledger, outcomes) = (ledger?, Outcomes::new(&config, bus?, topic?));
            let services = Services {
                queue: ConsumerQueue::new(&config, queue?, dead_letter_queue?),
                alerts: Alerts::new(ledger.clone(), outcomes.clone()),
                ledger,
                outcomes,
                artifacts: Artifacts::new(&config, &bucket?),
                openai,
            };
            Some(Self { category, handler: handler?, services, max_receives: max_receives? })
        })
    }
}

/// Runs a consumer function: everything that is around its handler. A function's `main` is this call, as the crate's
/// documentation shows.
///
/// # Errors
///
/// Everything that is wrong with the environment, or that the Lambda runtime's API is out of reach.
pub async fn run<H: Handler>(
    category: Category,
    handler: impl FnOnce(&mut Setup<'_>) -> Option<H>,
) -> Result<(), Error> {
    let harness = hooks_function::start(|environment| Harness::new(category, environment, handler))?;
    harness.warm_up().await;
    hooks_function::run(async |batch: SqsEvent, deadline: Deadline| {
        Ok::<_, Error>(harness.handle(batch, deadline).await)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Event, HandlerError, Outcome};

    struct Nothing;

    impl Handler for Nothing {
        async fn handle(&self, _: &Event, _: &Context) -> Result<Outcome, HandlerError> {
            Err(HandlerError::retry("not now"))
        }
    }

    #[test]
    fn everything_that_is_wrong_with_the_environment_is_reported_together() {
        let environment = Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("TABLE_NAME", "ledger"),
            ("MAX_RECEIVES", "0"),
            ("OPENAI_BASE_URL", "not a URL"),
        ]);
        let made = Harness::new(Category::Batch, environment, |setup| {
            let openai = setup.openai();
            let share = setup.environment().required("ALERT_FAILED_SHARE");
            openai.zip(share).map(|_| Nothing)
        });
        let expected = "BUCKET_NAME is not set; BUS_NAME is not set; ALERTS_TOPIC_ARN is not set; QUEUE_URL is not set; \
                        DEAD_LETTER_QUEUE_URL is not set; MAX_RECEIVES is not a number above 0; OPENAI_BASE_URL is not \
                        a URL; OPENAI_API_KEY_SECRET is not set; ALERT_FAILED_SHARE is not set";
        assert_eq!(made.err().unwrap().to_string(), expected);
    }

    #[test]
    fn a_handler_that_does_not_ask_for_openai_needs_no_key() {
        let environment = Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("TABLE_NAME", "ledger"),
            ("BUCKET_NAME", "results"),
            ("BUS_NAME", "bus"),
            ("ALERTS_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:alerts"),
            ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/batch"),
            ("DEAD_LETTER_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/batch-dead"),
            ("MAX_RECEIVES", "12"),
        ]);
        assert!(Harness::new(Category::Archive, environment, |_| Some(Nothing)).is_ok());
    }
}
