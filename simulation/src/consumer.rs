//! A consumer function as Lambda runs it: the real harness with the real handler, in one process after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use futures::future::{Either, LocalBoxFuture, select};
use hooks_aws::Http;
use hooks_consumer::{Category, Handler, Harness, Setup};
use hooks_function::{Config, Deadline, Environment};
use hooks_openai::Client;
use serde_json::json;
use tokio::time::{sleep, sleep_until, timeout};

use crate::checks::MAX_SKEW;
use crate::clock;
use crate::network::{Aws, Life, Process, openai};
use crate::sqs::Message;
use crate::world::World;

/// A harness with some handler.
trait Invoke {
    fn invoke(&self, batch: SqsEvent, deadline: Deadline) -> LocalBoxFuture<'_, SqsBatchResponse>;
}

impl<H: Handler> Invoke for Harness<H> {
    fn invoke(&self, batch: SqsEvent, deadline: Deadline) -> LocalBoxFuture<'_, SqsBatchResponse> {
        Box::pin(self.handle(batch, deadline))
    }
}

/// How many processes there have been in all runs.
static PROCESSES: AtomicU64 = AtomicU64::new(0);

/// What the configuration of a real function is, before its way to AWS is replaced.
static SDK: LazyLock<SdkConfig> = LazyLock::new(|| {
    let config = Config::from_env(&mut environment(1));
    config.map_or_else(|| unreachable!("the environment is complete"), |config| config.sdk().clone())
});

static HTTP: LazyLock<Http> = LazyLock::new(Http::new);

static OPENAI: LazyLock<Client> =
    LazyLock::new(|| Client::without_key("https://openai.local/v1").unwrap_or_else(|_| unreachable!("the URL is one")));

/// The environment of every function.
pub(crate) fn environment(max_receives: u32) -> Environment {
    let max_receives = max_receives.to_string();
    Environment::of([
        ("AWS_ENDPOINT_URL", "http://aws.local"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "simulation"),
        ("AWS_SECRET_ACCESS_KEY", "simulation"),
        ("TABLE_NAME", "sim"),
        ("BUCKET_NAME", "sim"),
        ("BUS_NAME", "sim"),
        ("ALERTS_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:sim"),
        ("QUEUE_URL", "http://aws.local/123456789012/queue"),
        ("DEAD_LETTER_QUEUE_URL", "http://aws.local/123456789012/dead-letters"),
        ("MAX_RECEIVES", &max_receives),
        ("OPENAI_BASE_URL", "https://openai.local/v1"),
        ("OPENAI_API_KEY_SECRET", "sim"),
        ("ALERT_FAILED_SHARE", "0.5"),
        ("SMOKE_TEST_PROMPT", "Hello?"),
        ("PROMOTE_MODELS", "true"),
        ("MODELS_PATH", "/sim/models"),
        ("CALL_POLICY", "ssm:/sim/policy"),
        ("AWS_LAMBDA_FUNCTION_NAME", "supervisor"),
        ("SUPERVISOR_FUNCTION", "supervisor"),
        ("SUPERVISOR_QUEUE_URL", "https://sqs/supervisor"),
        ("CALL_MAXIMUM_AGE", "60"),
    ])
}

fn harness(world: &Arc<World>, process: &Arc<Process>) -> Box<dyn Invoke> {
    let settings = world.lock().settings;
    match settings.category {
        Category::Batch => made(world, process, batch::BatchHandler::from_setup),
        Category::Response => made(world, process, response::ResponseHandler::from_setup),
        Category::FineTuning => made(world, process, fine_tuning::FineTuningHandler::from_setup),
        Category::Realtime => made(world, process, realtime::CallHandler::from_setup),
        Category::Agent => made(world, process, agent::AgentHandler::from_setup),
        Category::Safety => made(world, process, safety::SafetyHandler::from_setup),
        Category::File => made(world, process, file::FileHandler::from_setup),
        Category::Archive => made(world, process, |_| Some(archive::ArchiveHandler)),
    }
}

fn made<H: Handler>(
    world: &Arc<World>,
    process: &Arc<Process>,
    handler: impl FnOnce(&mut Setup<'_>) -> Option<H>,
) -> Box<dyn Invoke> {
    let settings = world.lock().settings;
    let client = client().answered_by(openai(world, process));
    let environment = environment(settings.max_receives);
    match Harness::over(Some(config(world, process)), Some(client), settings.category, environment, handler) {
        Ok(harness) => Box::new(harness),
        Err(faults) => unreachable!("{faults}"),
    }
}

/// A process's way to AWS.
pub(crate) fn config(world: &Arc<World>, process: &Arc<Process>) -> Config {
    let aws = Aws { world: Arc::clone(world), process: Arc::clone(process) };
    // The SDK keeps one budget of retries for each region in the whole program. No process may see another one's.
    let region = Region::new(format!("process-{}", PROCESSES.fetch_add(1, Ordering::Relaxed)));
    let http = HTTP.answered_by(SharedHttpConnector::new(aws.clone()));
    let sdk = SDK.clone().into_builder().region(region).http_client(aws).build();
    let credentials = Credentials::new("simulation", "simulation", None, None, "simulation");
    Config::new(sdk, http, credentials)
}

/// OpenAI's client before its way there is replaced.
pub(crate) fn client() -> Client {
    OPENAI.clone()
}

/// Runs one consumer for ever: a process, and another one when it has died.
pub(crate) async fn run(world: Arc<World>, consumer: u8) {
    for life in 0.. {
        let process = Process::new(Life { consumer, life });
        let skew = {
            let mut state = world.lock();
            let skew = state.chance.pick(&[0, 0, MAX_SKEW, -MAX_SKEW]);
            state.note(|| format!("{}  starts, its clock is {skew} ms off", process.life));
            skew
        };
        let harness = harness(&world, &process);
        while let Some(batch) = receive(&world, &process).await {
            if !invoke(&world, &process, &*harness, batch, skew).await {
                break;
            }
        }
        let pause = {
            let mut state = world.lock();
            state.count("deaths");
            state.note(|| format!("{}  is dead", process.life));
            state.chance.millis(50, 3_000)
        };
        sleep(pause).await;
    }
}

/// Waits for messages.
async fn receive(world: &Arc<World>, process: &Process) -> Option<Vec<Message>> {
    loop {
        let pause = world.lock().chance.millis(0, 30);
        sleep(pause).await;
        let received = world.lock().receive(process.life);
        if !received.is_empty() {
            return Some(received);
        }
        let changed = std::pin::pin!(world.changed.notified());
        let next = world.lock().queue.next_visible();
        match next {
            None => changed.await,
            Some(at) => {
                select(changed, std::pin::pin!(sleep_until(at))).await;
            }
        }
    }
}

/// One invocation. `false`: the process died.
async fn invoke(
    world: &Arc<World>,
    process: &Process,
    harness: &dyn Invoke,
    messages: Vec<Message>,
    skew: i64,
) -> bool {
    let records: Vec<_> = messages.iter().map(Message::record).collect();
    let Ok(batch) = serde_json::from_value::<SqsEvent>(json!({ "Records": records })) else {
        world.lock().violated("a record is not one".to_owned());
        return false;
    };
    let time = world.lock().settings.timeout;
    let end = clock::true_ms() + i64::try_from(time.as_millis()).unwrap_or_default();
    let work = clock::with_skew(skew, async {
        let deadline = Deadline::at(end.unsigned_abs());
        timeout(time, harness.invoke(batch, deadline)).await
    });
    let answered = match select(std::pin::pin!(process.death()), std::pin::pin!(work)).await {
        Either::Left(_) => return false,
        Either::Right((answered, _)) => answered,
    };
    let Ok(response) = answered else {
        let mut state = world.lock();
        state.count("timeouts");
        state.note(|| format!("{}  is stopped by Lambda", process.life));
        return false;
    };
    let pause = world.lock().chance.millis(1, 50);
    sleep(pause).await;
    let failed: Vec<_> = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    for message in messages.iter().filter(|message| !failed.contains(&message.id.to_string())) {
        world.lock().acknowledge(process.life, message);
    }
    world.changed.notify_waiters();
    true
}

/// Waits until a moment or until something changed.
pub(crate) async fn change(world: &World, longest: Duration) {
    select(std::pin::pin!(world.changed.notified()), std::pin::pin!(sleep(longest))).await;
}
