//! Whether a new model answers at all.

use std::time::Duration;

use hooks_consumer::HandlerError;
use hooks_openai::{Client, ErrorClass, NewResponse, Response};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// How long the answer may take, unless the invocation is nearer to its end.
const LONGEST: Duration = Duration::from_mins(1);

/// Enough for a sentence, and for a model that thinks before it says one.
const MAX_OUTPUT_TOKENS: u32 = 2048;

/// How much of the reply goes into the outcome, in characters.
const SHOWN: usize = 300;

/// What a new model was asked, and how that went.
pub(crate) struct SmokeTest<'a> {
    model: &'a str,
    prompt: &'a str,
    milliseconds: u64,
    response: Option<Response>,
    /// What the model said, or why it does not count.
    pub(crate) verdict: Result<String, String>,
}

/// Asks the model, in time for what has to be done before the deadline. `is_young` says that the model may not be ready.
///
/// # Errors
///
/// A retry, when the model may only not be ready yet, or could not be asked now: that says nothing of the model.
pub(crate) async fn test<'a>(
    openai: &Client,
    model: &'a str,
    prompt: &'a str,
    deadline: Instant,
    is_young: bool,
) -> Result<SmokeTest<'a>, HandlerError> {
    let started = Instant::now();
    let left = deadline.saturating_duration_since(started);
    // What follows takes a moment, too.
    let until = started + LONGEST.min(left * 3 / 4);
    let answer =
        openai.create_response(NewResponse { model, input: prompt, max_output_tokens: MAX_OUTPUT_TOKENS }, until).await;
    let milliseconds = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    let (response, verdict) = match answer {
        Ok(response) => {
            let verdict = judge(&response);
            (Some(response), verdict)
        }
        Err(error) if error.class() == ErrorClass::Retry || (is_young && is_unknown(&error)) => {
            return Err(HandlerError::Retry { after: error.retry_after(), message: error.to_string() });
        }
        Err(error) => (None, Err(error.to_string())),
    };
    Ok(SmokeTest { model, prompt, milliseconds, response, verdict })
}

/// OpenAI has two statuses for a model that it does not know, or not yet.
fn is_unknown(error: &hooks_openai::OpenAiError) -> bool {
    error.class() == ErrorClass::NotFound || error.code() == Some("model_not_found")
}

fn judge(response: &Response) -> Result<String, String> {
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
        return Err(format!("the model answered without a text ({status}{reason})"));
    }
    Ok(text)
}

impl SmokeTest<'_> {
    /// The test of a job that names no model.
    pub(crate) fn impossible() -> Self {
        let verdict = Err("OpenAI says that the job succeeded, but names no model".to_owned());
        Self { model: "", prompt: "", milliseconds: 0, response: None, verdict }
    }

    /// All of it, as it is kept.
    pub(crate) fn artifact(&self) -> Vec<u8> {
        let mut artifact = json!({
            "model": self.model,
            "prompt": self.prompt,
            "max_output_tokens": MAX_OUTPUT_TOKENS,
            "passed": self.verdict.is_ok(),
            "milliseconds": self.milliseconds,
            "response": self.response.as_ref().map(|response| &response.raw),
        });
        match &self.verdict {
            Ok(reply) => artifact["reply"] = reply.as_str().into(),
            Err(reason) => artifact["reason"] = reason.as_str().into(),
        }
        format!("{artifact:#}\n").into_bytes()
    }

    /// What a person or a program wants to know of it.
    pub(crate) fn summary(&self) -> Value {
        let (name, text) = match &self.verdict {
            Ok(reply) => ("reply", reply.chars().take(SHOWN).collect()),
            Err(reason) => ("reason", reason.clone()),
        };
        let fields = [
            ("passed", self.verdict.is_ok().into()),
            ("milliseconds", self.milliseconds.into()),
            (name, Value::String(text)),
        ];
        Value::Object(Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
    }
}

#[cfg(test)]
mod tests {
    use hooks_openai::ClientConfig;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Asks a model that answers so, or says nothing at all.
    async fn tested(
        answer: Option<(u16, Value)>,
        is_young: bool,
        left: Duration,
    ) -> Result<SmokeTest<'static>, HandlerError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
        let client = Client::new(ClientConfig { base_url, api_key: "sk-local".parse().unwrap() }).unwrap();
        let serving = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await;
            let Some((status, body)) = answer else { return std::future::pending().await };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        });
        let test = test(&client, "ft:gpt:acme::1", "Say hello.", Instant::now() + left, is_young).await;
        serving.abort();
        test
    }

    async fn verdict(fields: Value) -> Result<String, String> {
        let mut response = json!({"id": "resp_1", "status": "completed"});
        response.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        tested(Some((200, response)), true, LONGEST).await.unwrap().verdict
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
        assert_eq!(verdict(json!({"output": hello})).await.as_deref(), Ok("Hello!"));
        let cut =
            json!({"status": "incomplete", "output": hello, "incomplete_details": {"reason": "max_output_tokens"}});
        assert_eq!(verdict(cut).await.as_deref(), Ok("Hello!"));
    }

    #[tokio::test]
    async fn a_refusal_an_error_and_no_text_do_not_pass() {
        let refused = verdict(json!({"output": said("refusal", "refusal", "Not that.")})).await;
        assert_eq!(refused.unwrap_err(), "the model refused to answer: [refusal] Not that.");
        let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "Oh."}});
        assert_eq!(verdict(failed).await.unwrap_err(), "the model failed: server_error: Oh.");
        let thinking = json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}});
        let reason = "the model answered without a text (incomplete, max_output_tokens)";
        assert_eq!(verdict(thinking).await.unwrap_err(), reason);
        let blank = verdict(json!({"output": said("output_text", "text", " \n")})).await;
        assert_eq!(blank.unwrap_err(), "the model answered without a text (completed)");
    }

    #[tokio::test]
    async fn a_model_that_may_not_be_ready_is_asked_again_while_it_is_young() {
        for (status, code) in [(404, "not_found"), (400, "model_not_found")] {
            let answer = || Some((status, refusal(code)));
            let failure = tested(answer(), true, LONGEST).await.err();
            assert!(matches!(failure, Some(HandlerError::Retry { .. })), "{status}: {failure:?}");
            let reason = tested(answer(), false, LONGEST).await.unwrap().verdict.unwrap_err();
            assert!(reason.contains(&format!("OpenAI answered {status} {code}")), "{reason}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_of_the_model_is_never_its_fault() {
        for (status, code) in [(429, "rate_limit_exceeded"), (500, "x"), (503, "x")] {
            let failure = tested(Some((status, refusal(code))), false, LONGEST).await.err();
            assert!(matches!(failure, Some(HandlerError::Retry { .. })), "{status}: {failure:?}");
        }
    }

    #[tokio::test]
    async fn a_model_that_must_not_be_asked_fails_at_once() {
        for (status, code) in [(401, "x"), (403, "x"), (429, "insufficient_quota"), (400, "x"), (422, "x")] {
            assert!(tested(Some((status, refusal(code))), true, LONGEST).await.unwrap().verdict.is_err(), "{status}");
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
        let test = tested(Some((200, response)), true, LONGEST).await.unwrap();
        assert_eq!(test.summary()["reply"].as_str().unwrap().chars().count(), SHOWN);
        let artifact: Value = serde_json::from_slice(&test.artifact()).unwrap();
        assert_eq!((&artifact["reply"], &artifact["passed"]), (&json!(reply), &json!(true)));
        assert_eq!(artifact["prompt"], "Say hello.");
    }
}
