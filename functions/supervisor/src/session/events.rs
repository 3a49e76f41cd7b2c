//! The beginning of a session, and its events.

use hooks_aws::AwsError;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::HoldResult;
use hooks_aws::outcomes::Outcome;
use hooks_openai::{CallApi, EventKind, ServerEvent, Side, Transcript};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::live::{Live, Next};

impl Live<'_> {
    /// Greets, notes that the session is active, and takes over what a predecessor has left. `gap` tells for how long nobody
    /// was attached.
    pub(super) async fn begin(&mut self, gap: Option<&str>) -> Result<Next, AwsError> {
        let is_first = self.record.active_at.is_none();
        if !self.is_ringing() {
            self.greet().await;
        }
        if is_first {
            self.record.active_at = Some(now_ms());
        }
        if self.services.ledger.session_active(&self.hold).await? == HoldResult::Superseded {
            self.superseded = true;
            return Ok(Next::GoOn);
        }
        self.keep().await;
        if is_first {
            self.record_active().await;
            self.publish("call.started", "active", json!(self.record.facts)).await;
        } else {
            self.take_over_tools().await?;
        }
        self.resume_asking();
        if let Some(gap) = gap {
            self.missed(gap).await;
        }
        if let Some(reason) = self.progress.get("hang_up").and_then(Value::as_str).map(str::to_owned) {
            self.hang_up(&reason, None);
        }
        Ok(Next::GoOn)
    }

    /// Whether it is a call that OpenAI makes, and nobody has answered it yet.
    pub(super) fn is_ringing(&self) -> bool {
        self.record.facts.get("direction").is_some_and(|direction| direction == "outbound")
            && !self.progress.contains_key("greeted")
    }

    async fn greet(&mut self) {
        if self.progress.insert("greeted".to_owned(), true.into()).is_some() {
            return;
        }
        if let Some(greeting) = self.settings.greeting.clone() {
            self.say(&greeting);
            self.speak().await;
        }
    }

    async fn record_active(&self) {
        let outcome = Outcome {
            object_id: Some(self.start.id.clone()),
            summary: self.record.facts.clone(),
            ..Outcome::new("active", now_ms())
        };
        if let Err(error) = self.services.ledger.record_job_of("realtime", &outcome, &self.record.event).await {
            tracing::warn!("{error}");
        }
    }

    pub(super) async fn event(&mut self, event: ServerEvent) -> Result<Next, AwsError> {
        match event.kind {
            EventKind::Closed { reason, seconds } => {
                self.usage.seconds(seconds.unwrap_or_default());
                return Ok(Next::Ended(reason.as_str().to_owned()));
            }
            EventKind::Transcript(transcript) => self.heard(event.id.as_deref(), &transcript).await,
            EventKind::ToolCall(call) => self.tool_called(&call.call_id, &call.name, &call.arguments),
            EventKind::ResponseCreated { .. } => self.response_active = true,
            EventKind::ResponseDone(done) => {
                self.response_active = false;
                if let Some(tokens) = done.usage {
                    let model = done.model.as_deref().or(self.model.as_deref());
                    self.usage.response(done.response_id.as_deref(), model, tokens);
                }
                for call in done.tool_calls {
                    self.tool_called(&call.call_id, &call.name, &call.arguments);
                }
            }
            EventKind::Started(session) | EventKind::Updated(session) => {
                if session.store == Some(true) {
                    self.progress.insert("stored".to_owned(), true.into());
                }
                self.model = session.model.or(self.model.take());
            }
            EventKind::Usage { seconds, .. } => self.usage.seconds(seconds.unwrap_or_default()),
            EventKind::Dtmf(key) => {
                self.limits.caller_active(now_ms());
                self.key_pressed(&key).await?;
            }
            EventKind::SpeechStarted | EventKind::SpeechStopped => self.limits.caller_active(now_ms()),
            EventKind::OutputStarted => self.limits.model_active(now_ms()),
            // What was to be heard was heard: a call that is to be hung up may be.
            EventKind::OutputStopped => {
                self.limits.model_active(now_ms());
                self.hang_up_at = self.hang_up_at.map(|_| Instant::now());
            }
            EventKind::Answered => {
                self.limits.caller_active(now_ms());
                self.greet().await;
                self.keep().await;
            }
            EventKind::Failed(refusal) => {
                tracing::warn!("the call could not be made: {refusal}");
                self.hang_up("not_answered", None);
            }
            EventKind::Error(refusal) => {
                tracing::warn!("the session reports: {refusal}");
                // Whatever was asked for has not begun.
                if event.answers.is_some() {
                    self.response_active = false;
                }
            }
            _ => {}
        }
        Ok(Next::GoOn)
    }

    async fn heard(&mut self, event_id: Option<&str>, transcript: &Transcript) {
        let role = if transcript.side == Side::Caller {
            self.limits.caller_active(now_ms());
            "caller"
        } else {
            self.limits.model_active(now_ms());
            "assistant"
        };
        // A Realtime session tells the whole utterance at its end, a Live session fragments alone.
        let key = match (self.start.api, &transcript.item_id, transcript.span_ms) {
            (CallApi::Realtime, Some(item), _) if transcript.done => format!("{item}/{role}"),
            (CallApi::Realtime, None, _) if transcript.done => {
                format!("event/{}", event_id.map_or_else(|| now_ms().to_string(), str::to_owned))
            }
            (CallApi::Live, _, Some((begin, end))) => {
                format!("fragment/{}", event_id.map_or_else(|| format!("{role}/{begin}-{end}"), str::to_owned))
            }
            (CallApi::Live, ..) => format!("fragment/{}", event_id.map_or_else(|| now_ms().to_string(), str::to_owned)),
            _ => return,
        };
        if !transcript.text.is_empty() {
            self.transcript.write(role, &transcript.text, key).await;
        }
    }
}
