//! The smoke test of a new model: whether it answers at all.

use std::time::Duration;

use hooks_consumer::{Context, HandlerError};
use hooks_openai::{Client, ErrorClass, NewResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;

/// Maximum time for the answer, unless the invocation ends sooner.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Enough for a sentence, and for a model that thinks before it says one.
const MAX_OUTPUT_TOKENS: u32 = 2048;

/// Maximum length of the reply in the outcome, in characters.
const MAX_SHOWN: usize = 300;

/// A question to a new model, and its result.
pub(crate) struct SmokeTest<'a> {
    model: &'a str,
    prompt: &'a str,
    milliseconds: u64,
    response: Option<Response>,
    /// The model's reply, or why it failed the test.
    pub(crate) result: Result<String, String>,
}

/// Asks the model, leaving time for what follows before the deadline. `is_young`: the model may not be ready yet.
///
/// # Errors
///
/// A retry, when the model may not be ready yet, or could not be asked now, which says nothing about the model. An attempt
/// at which it was not asked does not count: a model that OpenAI does not know fails when it was asked before.
pub(crate) async fn run<'a>(
    openai: &Client,
    model: &'a str,
    prompt: &'a str,
    is_young: bool,
    context: &Context,
) -> Result<SmokeTest<'a>, HandlerError> {
    let started = Instant::now();
    let left = context.deadline.saturating_duration_since(started);
    // Storing and promoting need time, too.
    let until = started + TIMEOUT.min(left * 3 / 4);
    let answer =
        openai.create_response(NewResponse { model, input: prompt, max_output_tokens: MAX_OUTPUT_TOKENS }, until).await;
    let milliseconds = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    let (response, result) = match answer {
        Ok(response) => {
            let result = evaluate(&response);
            (Some(response), result)
        }
        Err(error) if is_passing(&error) || (is_unknown(&error) && (is_young || !context.acted)) => {
            if is_unknown(&error) {
                // The harness remembers it from attempt to attempt: the model was asked.
                context.acting().await?;
            }
            return Err(HandlerError::Retry { after: error.retry_after(), message: error.to_string() });
        }
        Err(error) => (None, Err(error.to_string())),
    };
    Ok(SmokeTest { model, prompt, milliseconds, response, result })
}

/// Whether the error is OpenAI's own, also when it says that a retry makes no sense at present.
fn is_passing(error: &hooks_openai::OpenAiError) -> bool {
    error.class() == ErrorClass::Retry || error.status().is_some_and(|status| status >= 500)
}

/// OpenAI reports an unknown model in two ways.
fn is_unknown(error: &hooks_openai::OpenAiError) -> bool {
    error.class() == ErrorClass::NotFound || error.code() == Some("model_not_found")
}

fn evaluate(response: &Response) -> Result<String, String> {
    let text = response.output_text();
    let shown = |text: &Option<String>| hooks_openai::for_display(text.as_deref().unwrap_or("unknown"));
    if let Some((code, message)) = &response.error {
        return Err(format!("the model failed: {}: {}", shown(code), shown(message)));
    }
    if response.is_refused() {
        return Err(format!("the model refused to answer: {}", hooks_openai::for_display(&text)));
    }
    if text.trim().is_empty() {
        let reason = response.incomplete_reason.as_deref();
        let reason = reason.map(|reason| format!(", {}", hooks_openai::for_display(reason))).unwrap_or_default();
        let status = hooks_openai::for_display(response.status.as_str());
        return Err(format!("the model answered without text ({status}{reason})"));
    }
    Ok(text)
}

#[derive(Serialize)]
struct Artifact<'a> {
    model: &'a str,
    prompt: &'a str,
    max_output_tokens: u32,
    passed: bool,
    milliseconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    response: Option<&'a RawValue>,
}

impl SmokeTest<'_> {
    /// The failed test of a job that names no model.
    pub(crate) fn without_model() -> Self {
        let result = Err("OpenAI says that the job succeeded, but names no model".to_owned());
        Self { model: "", prompt: "", milliseconds: 0, response: None, result }
    }

    /// The artifact: the question, the result and OpenAI's whole response.
    pub(crate) fn artifact(&self) -> Vec<u8> {
        let response =
            self.response.as_ref().and_then(|response| serde_json::from_slice::<&RawValue>(&response.json).ok());
        let artifact = Artifact {
            model: self.model,
            prompt: self.prompt,
            max_output_tokens: MAX_OUTPUT_TOKENS,
            passed: self.result.is_ok(),
            milliseconds: self.milliseconds,
            reply: self.result.as_deref().ok(),
            reason: self.result.as_ref().err().map(String::as_str),
            response,
        };
        let mut text = serde_json::to_vec_pretty(&artifact).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The part of the outcome's summary.
    pub(crate) fn summary(&self) -> Value {
        let (name, text) = match &self.result {
            Ok(reply) => ("reply", reply.chars().take(MAX_SHOWN).collect()),
            Err(reason) => ("reason", reason.clone()),
        };
        let fields = [
            ("passed", self.result.is_ok().into()),
            ("milliseconds", self.milliseconds.into()),
            (name, Value::String(text)),
        ];
        Value::Object(Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
    }
}

#[cfg(test)]
mod tests {
    use hooks_consumer::artifacts::Artifacts;
    use hooks_testing::{Reply, Server};
    use serde_json::json;

    use super::*;

    /// Tests a model with this answer, or with none at all. It was asked before.
    async fn tested(
        answer: Option<(u16, Value)>,
        is_young: bool,
        left: Duration,
    ) -> Result<SmokeTest<'static>, HandlerError> {
        let server = Server::start(move |_| match &answer {
            Some((status, body)) => Reply::new(*status, body.to_string()).header("x-should-retry", "false"),
            None => Reply::never(),
        })
        .await;
        let mut context = context(left);
        context.acted = true;
        run(&server.openai(), "ft:gpt:acme::1", "Say hello.", is_young, &context).await
    }

    fn context(left: Duration) -> Context {
        let config = hooks_testing::aws_config("http://127.0.0.1:1");
        Context::new(Instant::now() + left, 1, 0, Artifacts::new(&config, "artifacts"))
    }

    async fn result(fields: Value) -> Result<String, String> {
        let mut response = json!({"id": "resp_1", "status": "completed"});
        response.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        tested(Some((200, response)), true, TIMEOUT).await.unwrap().result
    }

    fn said(kind: &str, name: &str, text: &str) -> Value {
        json!([{"type": "message", "content": [{"type": kind, name: text}]}])
    }

    fn refusal(code: &str) -> Value {
        json!({"error": {"message": "No.", "type": code, "code": code}})
    }

    #[tokio::test]
    async fn a_text_passes_even_when_it_was_cut_short() {
        let hello = said("output_text", "text", "Hello!");
        assert_eq!(result(json!({"output": hello})).await.as_deref(), Ok("Hello!"));
        let cut =
            json!({"status": "incomplete", "output": hello, "incomplete_details": {"reason": "max_output_tokens"}});
        assert_eq!(result(cut).await.as_deref(), Ok("Hello!"));
        for nothing in [json!({}), json!({"code": null, "message": null}), json!({"code": ""}), json!(null)] {
            assert_eq!(result(json!({"output": hello, "error": nothing})).await.as_deref(), Ok("Hello!"), "{nothing}");
        }
    }

    #[tokio::test]
    async fn a_refusal_an_error_and_no_text_do_not_pass() {
        let refused = result(json!({"output": said("refusal", "refusal", "Not that.")})).await;
        assert_eq!(refused.unwrap_err(), "the model refused to answer: [refusal] Not that.");
        let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "Oh."}});
        assert_eq!(result(failed).await.unwrap_err(), "the model failed: server_error: Oh.");
        let thinking = json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}});
        let reason = "the model answered without text (incomplete, max_output_tokens)";
        assert_eq!(result(thinking).await.unwrap_err(), reason);
        let blank = result(json!({"output": said("output_text", "text", " \n")})).await;
        assert_eq!(blank.unwrap_err(), "the model answered without text (completed)");
    }

    #[tokio::test]
    async fn a_model_that_may_not_be_ready_is_asked_again_while_it_is_young() {
        for (status, code) in [(404, "not_found"), (400, "model_not_found")] {
            let answer = || Some((status, refusal(code)));
            let failure = tested(answer(), true, TIMEOUT).await.err();
            assert!(matches!(failure, Some(HandlerError::Retry { .. })), "{status}: {failure:?}");
            let reason = tested(answer(), false, TIMEOUT).await.unwrap().result.unwrap_err();
            assert!(reason.contains(&format!("OpenAI answered {status} {code}")), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_model_that_was_never_asked_before_is_asked_again_whatever_its_age() {
        let server = Server::start(|_| Reply::new(404, refusal("model_not_found").to_string())).await;
        let mut context = context(TIMEOUT);
        let failure = run(&server.openai(), "ft:gpt:acme::1", "Say hello.", false, &context).await.err();
        assert!(matches!(failure, Some(HandlerError::Retry { .. })), "{failure:?}");
        context.acted = true;
        let test = run(&server.openai(), "ft:gpt:acme::1", "Say hello.", false, &context).await.unwrap();
        assert!(test.result.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_about_the_model_is_never_its_fault() {
        for (status, code) in [(429, "rate_limit_exceeded"), (500, "x"), (503, "x")] {
            let failure = tested(Some((status, refusal(code))), false, TIMEOUT).await.err();
            assert!(matches!(failure, Some(HandlerError::Retry { .. })), "{status}: {failure:?}");
        }
    }

    #[tokio::test]
    async fn a_model_that_must_not_be_asked_fails_at_once() {
        for (status, code) in [(401, "x"), (403, "x"), (429, "insufficient_quota"), (400, "x"), (422, "x")] {
            assert!(tested(Some((status, refusal(code))), true, TIMEOUT).await.unwrap().result.is_err(), "{status}");
        }
    }

    #[tokio::test]
    async fn a_silent_model_is_left_before_the_invocation_ends() {
        let (began, left) = (Instant::now(), Duration::from_millis(800));
        let failure = tested(None, true, left).await.err();
        assert!(matches!(failure, Some(HandlerError::Retry { .. })), "{failure:?}");
        assert!(began.elapsed() < left, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn the_outcome_has_a_part_of_a_long_reply_and_the_artifact_all_of_it() {
        let reply = "\u{e4}".repeat(1000);
        let response = json!({"id": "r", "status": "completed", "output": said("output_text", "text", &reply)});
        let test = tested(Some((200, response)), true, TIMEOUT).await.unwrap();
        assert_eq!(test.summary()["reply"].as_str().unwrap().chars().count(), MAX_SHOWN);
        let artifact: Value = serde_json::from_slice(&test.artifact()).unwrap();
        assert_eq!((&artifact["reply"], &artifact["passed"]), (&json!(reply), &json!(true)));
        assert_eq!(artifact["prompt"], "Say hello.");
    }
}
