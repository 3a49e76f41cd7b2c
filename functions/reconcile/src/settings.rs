//! The function's environment, and what is made from it.

use hooks_aws::ledger::Ledger;
use hooks_aws::outcomes::Outcomes;
use hooks_aws::queue::QueueSender;
use hooks_aws::secrets::{PLACEHOLDER, Store};
use hooks_aws::{Config, Environment, Faults};
use hooks_openai::Client;

use crate::desk::{Desk, Queues};
use crate::fault::Fault;

/// What the tasks work with.
pub(crate) struct Services {
    pub(crate) desk: Desk,
    pub(crate) outcomes: Outcomes,
    openai: Client,
    store: Store,
    api_key: String,
}

impl Services {
    pub(crate) fn from_env(mut environment: Environment) -> Result<Self, Faults> {
        let config = Config::from_env(&mut environment);
        let table = environment.required("TABLE_NAME");
        let topic = environment.required("ALERTS_TOPIC_ARN");
        let batch = environment.required("BATCH_QUEUE_URL");
        let fine_tuning = environment.required("FINE_TUNING_QUEUE_URL");
        let agent = environment.required("AGENT_QUEUE_URL");
        let response = environment.required("RESPONSE_QUEUE_URL");
        let api_key = environment.required("OPENAI_API_KEY_SECRET");
        let openai = environment.parsed("OPENAI_BASE_URL", Client::without_key);
        environment.finish(|| {
            let config = config?;
            let queues = Queues { batch: batch?, fine_tuning: fine_tuning?, agent: agent?, response: response? };
            Some(Self {
                desk: Desk::new(Ledger::new(&config, table?), QueueSender::new(&config), queues),
                // It tells people and no programs: an event that it finds goes the way of all events.
                outcomes: Outcomes::new(&config, "", topic?),
                openai: openai?,
                store: Store::new(&config),
                api_key: api_key?,
            })
        })
    }

    /// OpenAI with the API key of the moment. Invocations are far apart, so each reads it once.
    pub(crate) async fn openai(&self) -> Result<Client, Fault> {
        let id = &self.api_key;
        let text = self.store.text(id).await;
        let text =
            text.map_err(|error| Fault::new(format!("the API key in the secret {id} cannot be read: {error}")))?;
        match text.trim() {
            PLACEHOLDER | "" => Err(Fault::of_setup(format!(
                "the OpenAI API key is not set: store it with `aws secretsmanager put-secret-value --secret-id {id} \
                 --secret-string sk-...`"
            ))),
            key => match key.parse() {
                Ok(key) => Ok(self.openai.with_api_key(key)),
                Err(error) => Err(Fault::new(format!("the OpenAI API key in the secret {id} is unusable: {error}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_with_the_environment_is_reported_together() {
        let environment = Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("BATCH_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/batch"),
            ("OPENAI_BASE_URL", "nowhere"),
        ]);
        let expected = "TABLE_NAME is not set; ALERTS_TOPIC_ARN is not set; FINE_TUNING_QUEUE_URL is not set; \
                        AGENT_QUEUE_URL is not set; RESPONSE_QUEUE_URL is not set; OPENAI_API_KEY_SECRET is not set; \
                        OPENAI_BASE_URL is not a URL";
        assert_eq!(Services::from_env(environment).err().unwrap().to_string(), expected);
    }
}
