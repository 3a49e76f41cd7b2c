//! The end of the models that production uses.
//!
//! The fine-tuning function promotes a model to a parameter, which other programs read. OpenAI ends models, and says so
//! by a date, which it may set or change after the promotion. So each run asks for it anew; the description of the
//! parameter's value has the one that was known at the promotion.

use hooks_aws::parameters::Parameter;
use hooks_function::text::day;
use hooks_openai::Client;
use tokio::time::Instant;

use crate::alert;
use crate::error::ReconcileError;
use crate::services::Services;

/// A day in seconds.
const DAY: i64 = 24 * 60 * 60;

/// Days before the end at which people are told, each time once.
const NOTICES: [i64; 2] = [7, 30];

/// The word of a description before the date of the model's end.
const SHUTDOWN_DATE: &str = "shutdown_date=";

/// Tells people of the promoted models that end soon. `now` is in Unix seconds. Returns the number of models.
pub(crate) async fn run(
    services: &Services,
    openai: &Client,
    now: i64,
    until: Instant,
) -> Result<usize, ReconcileError> {
    let models = services.parameters.below(&services.models_path).await?;
    for (parameter, model) in &models {
        if Instant::now() >= until {
            break;
        }
        let Some(date) = shutdown_date(services, openai, parameter, model, until).await? else { continue };
        let Some((notice, days)) = day(&date).and_then(|end| due(end, now)) else { continue };
        // Another model or another date is other news.
        let news = format!("{parameter} {model} {date} {notice}");
        if !services.reconciler.ledger.was_told(&news).await? {
            services.reconciler.alert(&alert::model_ends(parameter, model, &date, days)).await?;
            services.reconciler.ledger.told(&news).await?;
        }
    }
    Ok(models.len())
}

/// The day on which the model ends, such as `2027-01-14`, if one is known.
async fn shutdown_date(
    services: &Services,
    openai: &Client,
    parameter: &str,
    model: &str,
    until: Instant,
) -> Result<Option<String>, ReconcileError> {
    let asked = openai.model(model, until).await.map_err(ReconcileError::from);
    match asked {
        Ok(model) if model.shutdown_date.is_some() => return Ok(model.shutdown_date),
        Err(error) if !error.is_setup() => return Err(error),
        _ => {}
    }
    let values = services.parameters.history(parameter).await?;
    // A value that was set by hand keeps the description of the value before it.
    let own = |value: &&Parameter| {
        value.value == model
            && values.iter().all(|other| other.value == model || other.description != value.description)
    };
    let mut words = values.last().filter(own).into_iter().flat_map(|value| value.description.split(' '));
    Ok(words.find_map(|word| word.strip_prefix(SHUTDOWN_DATE)).map(str::to_owned))
}

/// The notice that is due, and the days left until the end, rounded up; `None` while the end is far away.
fn due(end: i64, now: i64) -> Option<(i64, i64)> {
    let left = end.saturating_sub(now).max(0);
    let notice = NOTICES.into_iter().find(|days| left <= days * DAY)?;
    Some((notice, left.saturating_add(DAY - 1) / DAY))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use hooks_function::text::moment;
    use hooks_testing::{Reply, Request, Server, environment};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_795_300_000;
    const PARAMETER: &str = "/stack/models/support";
    const MODEL: &str = "ft:gpt-4.1-mini:acme:support:B1";

    /// OpenAI, Systems Manager, the ledger and the topic on one server.
    struct World {
        server: Server,
        services: Services,
        state: Arc<Mutex<State>>,
    }

    #[derive(Default)]
    struct State {
        /// The answer to `GET /models/MODEL`, and the description of the parameter's value.
        model: Value,
        description: String,
        /// The description of another value before it.
        other_description: String,
        noted: Vec<String>,
    }

    impl State {
        fn answer(&mut self, request: &Request) -> Reply {
            let body = request.json();
            match request.name().as_str() {
                "GetParametersByPath" => Reply::json(&json!({"Parameters": [{"Name": PARAMETER, "Value": MODEL}]})),
                "GetParameterHistory" => {
                    let value = |value: &str, version, description: &str| json!({"Value": value, "Version": version, "Description": description});
                    let promoted = value(MODEL, 2, &self.description);
                    let earlier = value(MODEL, 1, "shutdown_date=2026-12-01");
                    let other = value("gpt-other", 0, &self.other_description);
                    Reply::json(&json!({"Parameters": [promoted, other, earlier]}))
                }
                "GetItem" if self.noted.iter().any(|pk| *pk == body["Key"]["pk"]["S"]) => {
                    Reply::json(&json!({"Item": {"pk": {"S": "told"}}}))
                }
                "GetItem" => Reply::json(&json!({})),
                "UpdateItem" => {
                    self.noted.push(body["Key"]["pk"]["S"].as_str().unwrap().to_owned());
                    Reply::json(&json!({}))
                }
                "POST /" => Reply::new(200, "<PublishResponse><PublishResult/></PublishResponse>"),
                _ if request.path.starts_with("/v1/models/") && self.model.is_null() => Reply::status(404),
                _ => Reply::json(&self.model),
            }
        }
    }

    impl World {
        async fn new() -> Self {
            let state = Arc::<Mutex<State>>::default();
            let serving = Arc::clone(&state);
            let server = Server::start(move |request| serving.lock().unwrap().answer(request)).await;
            let (url, queue) = (server.url(), "https://sqs.eu-central-1.amazonaws.com/123456789012/queue");
            let services = Services::from_env(environment(
                url,
                [
                    ("TABLE_NAME", "ledger"),
                    ("ALERTS_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:alerts"),
                    ("BATCH_QUEUE_URL", queue),
                    ("FINE_TUNING_QUEUE_URL", queue),
                    ("AGENT_QUEUE_URL", queue),
                    ("RESPONSE_QUEUE_URL", queue),
                    ("MODELS_PATH", "/stack/models"),
                    ("DEAD_LETTER_QUEUE_URLS", "{}"),
                    ("CREATED_SECRETS", "{}"),
                    ("OPENAI_BASE_URL", &format!("{url}/v1")),
                    ("OPENAI_API_KEY_SECRET", "key"),
                ],
            ));
            Self { services: services.unwrap(), server, state }
        }

        /// Says when OpenAI ends the model, in days from now, and what was known at the promotion.
        fn ends(&self, openai: Option<i64>, promotion: Option<i64>) {
            let date = |days: i64| moment(NOW + days * DAY)[..10].to_owned();
            let mut state = self.state.lock().unwrap();
            state.model = openai.map_or(Value::Null, |days| json!({"id": MODEL, "shutdown_date": date(days)}));
            let known = promotion.map(|days| format!(" shutdown_date={}", date(days)));
            state.description = format!("promoted: job=ftjob-1 finished_at=1{}", known.unwrap_or_default());
        }

        async fn run(&self) -> Result<usize, ReconcileError> {
            run(&self.services, &self.server.openai(), NOW, Instant::now() + Duration::from_secs(20)).await
        }

        fn told(&self) -> usize {
            self.server.count("POST /")
        }
    }

    #[tokio::test]
    async fn a_model_is_told_of_once_for_each_notice_and_date() {
        let world = World::new().await;
        for (openai, promotion, told) in [
            (None, None, 0),
            (Some(40), None, 0),
            (Some(20), None, 1),
            (Some(20), None, 1),
            (Some(5), None, 2),
            (Some(5), Some(20), 2),
            // OpenAI's date counts before the one that was known at the promotion.
            (Some(100), Some(4), 2),
            (None, Some(4), 3),
            (None, Some(4), 3),
        ] {
            world.ends(openai, promotion);
            assert_eq!(world.run().await.unwrap(), 1);
            assert_eq!(world.told(), told, "{openai:?} {promotion:?}");
        }
        let message = String::from_utf8(world.server.last("POST /").unwrap().body.to_vec()).unwrap();
        assert!(message.contains("ends+in+4+days") || message.contains("ends%20in%204%20days"), "{message}");
    }

    #[tokio::test]
    async fn a_model_that_was_stored_by_hand_does_not_end_with_the_one_before_it() {
        let world = World::new().await;
        world.ends(None, Some(4));
        {
            let mut state = world.state.lock().unwrap();
            state.other_description = state.description.clone();
        }
        world.run().await.unwrap();
        assert_eq!(world.told(), 0);
    }

    #[tokio::test]
    async fn people_are_told_again_rather_than_never_when_that_cannot_be_noted() {
        let world = World::new().await;
        world.ends(Some(5), None);
        world.server.reply_once(|it| it.name() == "UpdateItem", Reply::refusal(400, "AccessDeniedException", ""));
        world.run().await.unwrap_err();
        world.run().await.unwrap();
        world.run().await.unwrap();
        assert_eq!(world.told(), 2);
    }

    #[tokio::test]
    async fn a_model_that_cannot_be_looked_up_fails_the_run_and_tells_nobody() {
        let world = World::new().await;
        world.ends(Some(5), Some(5));
        world.server.reply_once(|it| it.path.starts_with("/v1/models/"), Reply::status(500));
        assert!(world.run().await.unwrap_err().to_string().contains("retrieve model: OpenAI answered 500"));
        assert_eq!(world.told(), 0);
    }

    #[test]
    fn people_are_told_thirty_days_before_and_seven_days_before() {
        let end = 1_800_000_000;
        for (days, expected) in [
            (31, None),
            (30, Some((30, 30))),
            (29, Some((30, 29))),
            (8, Some((30, 8))),
            (7, Some((7, 7))),
            (1, Some((7, 1))),
            (0, Some((7, 0))),
            (-3, Some((7, 0))),
        ] {
            assert_eq!(due(end, end - days * DAY), expected, "{days}");
        }
        assert_eq!(due(end, end - 7 * DAY + 1), Some((7, 7)));
        assert_eq!(due(end, end - 30 * DAY - 1), None);
    }
}
