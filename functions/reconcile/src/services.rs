//! The function's environment, and what is made from it.

use hooks_aws::ledger::Ledger;
use hooks_aws::outcomes::Outcomes;
use hooks_aws::parameters::Parameters;
use hooks_aws::queue::QueueSender;
use hooks_function::{ApiKeySecret, Config, Environment, EnvironmentError};

use crate::reconciler::{Queues, Reconciler};
use crate::watch::Watched;

/// Services of the tasks.
pub(crate) struct Services {
    pub(crate) reconciler: Reconciler,
    /// The API key. Invocations are far apart, so each reads it once.
    pub(crate) api_key: ApiKeySecret,
    pub(crate) parameters: Parameters,
    /// The path of the parameters with the models that production uses.
    pub(crate) models_path: String,
    pub(crate) watched: Watched,
}

impl Services {
    pub(crate) fn from_env(mut environment: Environment) -> Result<Self, EnvironmentError> {
        let config = Config::from_env(&mut environment);
        let ledger = Ledger::from_env(&mut environment, config.as_ref());
        let topic = environment.required("ALERTS_TOPIC_ARN");
        let batch = environment.required("BATCH_QUEUE_URL");
        let fine_tuning = environment.required("FINE_TUNING_QUEUE_URL");
        let agent = environment.required("AGENT_QUEUE_URL");
        let response = environment.required("RESPONSE_QUEUE_URL");
        let models_path = environment.required("MODELS_PATH");
        let watched = Watched::from_env(&mut environment, config.as_ref());
        let api_key = ApiKeySecret::from_env(&mut environment, config.as_ref());
        environment.finish(|| {
            let config = config?;
            let queues = Queues { batch: batch?, fine_tuning: fine_tuning?, agent: agent?, response: response? };
            Some(Self {
                reconciler: Reconciler {
                    ledger: ledger?,
                    sender: QueueSender::new(&config),
                    queues,
                    // For alerts alone: an outcome is published by the consumer of the event that is queued here.
                    outcomes: Outcomes::new(&config, "", topic?),
                },
                api_key: api_key?,
                parameters: Parameters::new(&config),
                models_path: models_path?,
                watched: watched?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_environment_is_reported_together() {
        let environment = hooks_testing::environment(
            "http://127.0.0.1:1",
            [
                ("BATCH_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/batch"),
                ("OPENAI_BASE_URL", "nowhere"),
            ],
        );
        let expected = "TABLE_NAME is not set; ALERTS_TOPIC_ARN is not set; FINE_TUNING_QUEUE_URL is not set; \
                        AGENT_QUEUE_URL is not set; RESPONSE_QUEUE_URL is not set; MODELS_PATH is not set; \
                        DEAD_LETTER_QUEUE_URLS is not set; CREATED_SECRETS is not set; \
                        OPENAI_BASE_URL is not a URL; \
                        OPENAI_API_KEY_SECRET is not set";
        assert_eq!(Services::from_env(environment).err().unwrap().to_string(), expected);
    }
}
