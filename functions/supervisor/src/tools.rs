//! Tools outside of the session: Lambda functions, HTTPS endpoints, a table of the team's, notes for people.

use std::sync::Arc;
use std::time::Duration;

use hooks_aws::alerts::Alerts;
use hooks_aws::clock::now_seconds;
use hooks_aws::functions::{FunctionAnswer, Functions, InvokeError};
use hooks_aws::ledger::{Ledger, ToolResult};
use hooks_aws::outcomes::Notice;
use hooks_aws::secrets::{Source, Stage, Store};
use hooks_openai::HttpClient;
use hooks_policy::{LookUp, Tool, ToolTarget};
use hooks_webhook::Secret;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout_at};

use crate::settings::ToolKind;

/// Largest result in bytes. The model reads all of it.
const MAX_RESULT: usize = 32 * 1024;

/// Prefix of a secret of Standard Webhooks.
const PREFIX: &str = "whsec_";

/// Pause before the one retry.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Longest note for people, in bytes.
const MAX_NOTE: usize = 4 * 1024;

/// Ways to the tools. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) functions: Functions,
    pub(crate) http: HttpClient,
    pub(crate) ledger: Ledger,
    pub(crate) alerts: Alerts,
    /// Signs calls of endpoints.
    pub(crate) signer: Arc<Signer>,
}

/// A call of a tool.
pub(crate) struct Job {
    pub(crate) api: String,
    pub(crate) session: String,
    pub(crate) call_id: String,
    pub(crate) arguments: String,
    /// Caller's number, if it is known.
    pub(crate) caller: Option<String>,
    pub(crate) name: String,
    pub(crate) tool: ToolKind,
}

/// Failure of one attempt.
struct Failure {
    message: String,
    /// Whether it is certain that the tool was not run.
    not_run: bool,
}

impl Tools {
    /// Runs a tool until then. A failure is a result as well: the model is told what happened.
    pub(crate) async fn run(&self, job: &Job, until: Instant) -> ToolResult {
        if Instant::now() >= until {
            return failed("The tool could not be started in time. Nothing was done.");
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            let attempt = timeout_at(until.min(Instant::now() + job.tool.attempt_time()), self.attempt(job)).await;
            let failure = match attempt {
                Ok(Ok(output)) => return ToolResult { is_success: true, output },
                Ok(Err(failure)) => failure,
                Err(_) => failure("The tool gave no answer in time".to_owned()),
            };
            // What was certainly not run is tried once more in any case.
            let may_repeat = attempts <= job.tool.retries() || (failure.not_run && attempts == 1);
            if !may_repeat || Instant::now() + RETRY_PAUSE >= until {
                let Failure { message, not_run } = failure;
                let rest = if not_run { "Nothing was done." } else { "It may have been done or not." };
                return failed(&format!("{message}. {rest}"));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn attempt(&self, job: &Job) -> Result<String, Failure> {
        match &job.tool {
            ToolKind::Own(Tool { target: ToolTarget::Lambda(function), .. }) => self.lambda(function, job).await,
            ToolKind::Own(Tool { target: ToolTarget::Url(url), .. }) => self.https(url, job).await,
            ToolKind::LookUp(look_up) => self.look_up(look_up, job).await,
            ToolKind::LeaveNote => self.leave_note(job).await,
            ToolKind::HangUp | ToolKind::Transfer | ToolKind::CollectDigits => {
                Err(not_run("The session itself does this"))
            }
        }
    }

    async fn lambda(&self, function: &str, job: &Job) -> Result<String, Failure> {
        let time = job.tool.attempt_time();
        match self.functions.invoke(function, &payload(job), MAX_RESULT, time).await {
            Ok(FunctionAnswer::Returned(bytes)) => Ok(text(&bytes)),
            Ok(FunctionAnswer::TooLarge) => Err(failure(format!("The result has more than {MAX_RESULT} bytes"))),
            Ok(FunctionAnswer::Failed(error)) => Err(failure(format!("The function failed: {error}"))),
            Err(error @ InvokeError::Refused(_)) => {
                tracing::warn!(tool = job.name, "{error}");
                Err(not_run("The function could not be invoked"))
            }
            Err(error @ InvokeError::Unanswered(_)) => {
                tracing::warn!(tool = job.name, "{error}");
                Err(failure("The function gave no answer".to_owned()))
            }
        }
    }

    /// Posts the call, signed by Standard Webhooks. Its `webhook-id` is the idempotency key.
    async fn https(&self, url: &str, job: &Job) -> Result<String, Failure> {
        let (body, timestamp) = (payload(job), now_seconds());
        let key = idempotency_key(job);
        let signature = self.signer.sign(&key, timestamp.cast_unsigned(), body.as_bytes()).await.map_err(not_run)?;
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", key)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature)
            .body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(not_run("The endpoint could not be reached"));
            }
            Err(_) => return Err(failure("The endpoint gave no answer".to_owned())),
        };
        let status = response.status();
        if !status.is_success() {
            let message = format!("The endpoint answered with status {}", status.as_u16());
            return Err(if matches!(status.as_u16(), 429 | 503) { not_run(message) } else { failure(message) });
        }
        let mut result = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if result.len() + chunk.len() <= MAX_RESULT => result.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(failure(format!("The result has more than {MAX_RESULT} bytes"))),
                Ok(None) => return Ok(text(&result)),
                Err(_) => return Err(failure("The endpoint's answer broke off".to_owned())),
            }
        }
    }

    async fn look_up(&self, look_up: &LookUp, job: &Job) -> Result<String, Failure> {
        let arguments: Value = serde_json::from_str(&job.arguments).unwrap_or_default();
        let number = arguments.get("number").and_then(Value::as_str).map(str::to_owned).or_else(|| job.caller.clone());
        let number = number.ok_or_else(|| not_run("No number was given, and the caller's is not known"))?;
        match self.ledger.look_up(&look_up.table, &look_up.key, &number).await {
            Ok(Some(item)) => Ok(Value::Object(item).to_string()),
            Ok(None) => Ok(json!({"found": false}).to_string()),
            Err(error) => {
                tracing::warn!(tool = job.name, "{error}");
                Err(not_run("The table could not be read"))
            }
        }
    }

    async fn leave_note(&self, job: &Job) -> Result<String, Failure> {
        let arguments: Value = serde_json::from_str(&job.arguments).unwrap_or_default();
        let note = arguments.get("note").and_then(Value::as_str).unwrap_or(&job.arguments);
        let note = &note[..note.floor_char_boundary(MAX_NOTE)];
        let message = format!("A note was left in a call.\n\n{note}\n\nWhere  the call {}\n", job.session);
        let notice = Notice {
            category: "realtime",
            event_type: "call.note",
            reason: "note",
            id: &job.session,
            severity: "info",
            subject: "A note was left in a call",
            message: &message,
        };
        match self.alerts.tell(&notice).await {
            Ok(()) => Ok(json!({"delivered": true}).to_string()),
            Err(error) => {
                tracing::warn!(tool = job.name, "{error}");
                Err(failure("The note could not be delivered".to_owned()))
            }
        }
    }
}

/// A failed result for the model.
pub(crate) fn failed(message: &str) -> ToolResult {
    ToolResult { is_success: false, output: json!({"error": message}).to_string() }
}

/// Key under which a call is run at most once by whoever deduplicates.
fn idempotency_key(job: &Job) -> String {
    format!("call_{}_{}", job.session, job.call_id)
}

/// The event that a tool gets. Arguments that are not JSON are handed over as text.
fn payload(job: &Job) -> String {
    let arguments = serde_json::from_str(&job.arguments).unwrap_or_else(|_| Value::from(job.arguments.as_str()));
    json!({
        "type": "call.tool",
        "idempotency_key": idempotency_key(job),
        "api": job.api,
        "session_id": job.session,
        "call_id": job.call_id,
        "name": job.name,
        "arguments": arguments,
    })
    .to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn not_run(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), not_run: true }
}

fn failure(message: String) -> Failure {
    Failure { message, not_run: false }
}

/// The stack's secret that signs calls of endpoints. It is read when it is first needed.
pub(crate) struct Signer {
    store: Store,
    id: Option<String>,
    secret: OnceCell<Secret>,
}

impl Signer {
    pub(crate) fn new(store: Store, id: Option<String>) -> Self {
        Self { store, id, secret: OnceCell::new() }
    }

    async fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Result<String, String> {
        let secret = self.secret.get_or_try_init(|| self.read()).await?;
        Ok(secret.sign(id, timestamp, body))
    }

    async fn read(&self) -> Result<Secret, String> {
        let id = self.id.as_deref().ok_or("The stack has no secret to sign with")?;
        let version = self.store.read(id, Stage::Current).await.map_err(|error| {
            tracing::error!("the secret that signs calls of tools cannot be read: {error}");
            "The secret to sign with cannot be read"
        })?;
        // Secrets Manager has generated the key, which is base64 without the prefix.
        let text = version.map(|version| version.text).unwrap_or_default();
        let text = text.trim().trim_start_matches(PREFIX);
        Secret::parse(&format!("{PREFIX}{text}")).map_err(|error| {
            tracing::error!("the secret that signs calls of tools is not usable: {error}");
            "The secret to sign with is not usable".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use hooks_aws::outcomes::Outcomes;
    use hooks_testing::{Reply, Server};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    async fn server(answer: impl Fn(&hooks_testing::Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::start(move |request| match request.name().as_str() {
            "GetSecretValue" => Reply::json(&json!({"SecretString": SECRET, "VersionId": "1", "CreatedDate": 1.0})),
            _ => answer(request),
        })
        .await
    }

    fn tools(server: &Server) -> Tools {
        let config = server.aws();
        let ledger = Ledger::new(&config, "ledger");
        let outcomes = Outcomes::new(&config, "bus", "arn:aws:sns:us-east-1:1:alerts");
        Tools {
            functions: Functions::new(&config),
            http: hooks_openai::http_client().unwrap(),
            alerts: Alerts::new(ledger.clone(), outcomes),
            ledger,
            signer: Arc::new(Signer::new(Store::new(&config), Some("tools".to_owned()))),
        }
    }

    const TIME: Duration = Duration::from_secs(20);

    fn job(tool: &Value) -> Job {
        Job {
            api: "live".to_owned(),
            session: "live_1".to_owned(),
            call_id: "call_1".to_owned(),
            arguments: r#"{"order":7}"#.to_owned(),
            caller: None,
            name: "orders".to_owned(),
            tool: ToolKind::Own(serde_json::from_value(tool.clone()).unwrap()),
        }
    }

    fn is_tool(request: &hooks_testing::Request) -> bool {
        request.path == "/tool" || request.path.contains("/functions/")
    }

    #[tokio::test]
    async fn an_endpoint_gets_a_signed_call_and_its_answer_is_the_result() {
        let server = server(|_| Reply::new(200, r#"{"state":"sent"}"#)).await;
        let result = tools(&server)
            .run(&job(&json!({"name": "orders", "url": format!("{}/tool", server.url())})), Instant::now() + TIME)
            .await;
        assert!(result.is_success);
        assert_eq!(result.output, r#"{"state":"sent"}"#);
        let requests = server.requests();
        let request = requests.iter().find(|request| is_tool(request)).unwrap();
        assert_eq!(request.header("webhook-id"), Some("call_live_1_call_1"));
        let timestamp = request.header("webhook-timestamp").unwrap().parse().unwrap();
        let expected = Secret::parse(SECRET).unwrap().sign("call_live_1_call_1", timestamp, &request.body);
        assert_eq!(request.header("webhook-signature"), Some(expected.as_str()));
        assert_eq!(request.json()["arguments"]["order"], 7);
    }

    #[tokio::test]
    async fn only_a_call_that_was_certainly_not_run_or_may_be_repeated_is_repeated() {
        for (status, retries, calls) in [(503, 0, 2), (429, 0, 2), (500, 0, 1), (500, 2, 3)] {
            let server = server(move |_| Reply::status(status)).await;
            let tool = json!({"name": "orders", "url": format!("{}/tool", server.url()), "retries": retries});
            let result = tools(&server).run(&job(&tool), Instant::now() + TIME).await;
            assert!(!result.is_success);
            let found = server.requests().iter().filter(|request| is_tool(request)).count();
            assert_eq!(found, calls, "{status} {retries}");
        }
    }

    #[tokio::test]
    async fn a_failing_a_silent_and_a_boundless_tool_are_told_to_the_model() {
        for (reply, expected) in [
            (Reply::status(400), "status 400. It may have been done or not."),
            (Reply::never(), "no answer in time"),
            (Reply::new(200, "x".repeat(MAX_RESULT + 1)), "more than 32768 bytes"),
            (Reply::status(503), "status 503. Nothing was done."),
        ] {
            let server = server(move |_| reply.clone()).await;
            let tool = json!({"name": "orders", "url": format!("{}/tool", server.url()), "timeout_seconds": 1});
            let result = tools(&server).run(&job(&tool), Instant::now() + TIME).await;
            assert!(!result.is_success && result.output.contains(expected), "{}", result.output);
        }
    }

    #[tokio::test]
    async fn a_function_gets_the_call_and_its_failure_is_told() {
        let server = server(|request| {
            let broken = request.path.contains("broken");
            let reply = Reply::new(200, r#""done""#);
            if broken { reply.header("x-amz-function-error", "Unhandled") } else { reply }
        })
        .await;
        let tools = tools(&server);
        assert_eq!(
            tools.run(&job(&json!({"name": "orders", "lambda": "orders"})), Instant::now() + TIME).await.output,
            r#""done""#
        );
        let broken = tools.run(&job(&json!({"name": "orders", "lambda": "broken"})), Instant::now() + TIME).await;
        assert!(!broken.is_success && broken.output.contains("The function failed: Unhandled"));
    }
}
