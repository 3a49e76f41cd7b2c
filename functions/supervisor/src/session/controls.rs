//! What people ask of a session: read each second, carried out, answered.

use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{Control, ControlAnswer, ToolResult};
use hooks_openai::{Command, Item};
use serde_json::Value;

use super::live::Live;

/// Age at which a request is not carried out any more, in milliseconds: whoever asked has been told that nobody answered.
const MAX_AGE_MS: i64 = 10_000;

impl Live<'_> {
    pub(super) async fn controls(&mut self) {
        let controls = match self.services.ledger.waiting_controls(self.key()).await {
            Ok(controls) => controls,
            Err(error) => {
                tracing::warn!("{error}; it is tried again");
                return;
            }
        };
        for control in controls {
            match self.services.ledger.take_control(self.key(), &control.id).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::warn!("{error}; it is tried again");
                    continue;
                }
            }
            let result = if now_ms() - control.asked_at > MAX_AGE_MS {
                Err("it was read too late".to_owned())
            } else {
                self.control(&control).await
            };
            let text = format!(
                "{} asked for {}: {}",
                control.asked_by,
                control.kind,
                match &result {
                    Ok(()) => "confirmed",
                    Err(reason) => reason,
                }
            );
            self.transcript.write("person", &text, format!("control/{}", control.id)).await;
            let answer = ControlAnswer { confirmed: result.is_ok(), reason: result.err() };
            if let Err(error) = self.services.ledger.answer_control(self.key(), &control.id, &answer).await {
                tracing::warn!("{error}; whoever asked does not know");
            }
        }
    }

    /// Carries out what is asked. The error is the reason why it was not.
    async fn control(&mut self, control: &Control) -> Result<(), String> {
        let argument = &control.argument;
        let text = |name: &str| argument.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let needed = |name: &str| text(name).map(str::to_owned).ok_or_else(|| format!("{name} must be a text"));
        let command = match control.kind.as_str() {
            "message" => {
                let message = Command::Add(Item::UserText(needed("text")?.into()));
                self.request(message).await.map_err(|error| error.to_string())?;
                if argument.get("respond").and_then(Value::as_bool) != Some(false) {
                    self.respond = true;
                }
                return Ok(());
            }
            "say" => {
                self.say(&needed("text")?);
                return Ok(());
            }
            "instruct" => Command::Instruct(needed("text")?.into()),
            "update" => {
                let session = argument.get("session").and_then(Value::as_object);
                Command::Update(session.cloned().ok_or("session must be an object")?)
            }
            "cancel" => Command::CancelResponse { response_id: text("response_id").map(str::to_owned) },
            "function_result" => return self.result_of_people(needed("call_id")?, needed("output")?).await,
            "commit_audio" => Command::CommitAudio,
            "clear_audio" => Command::ClearAudio,
            "clear_output" => Command::ClearOutput,
            "mute" => Command::Mute,
            "unmute" => Command::Unmute,
            "send_dtmf" => {
                let key = needed("key")?;
                let mut keys = key.chars();
                match (keys.next(), keys.next()) {
                    (Some(key), None) => Command::SendDtmf(key),
                    _ => return Err("key must be one key".to_owned()),
                }
            }
            other => return Err(format!("{other} is not something that can be asked of a session")),
        };
        self.request(command).await.map_err(|error| error.to_string())
    }

    /// The result of a tool that the policy does not have.
    async fn result_of_people(&mut self, call_id: String, output: String) -> Result<(), String> {
        match self.for_people.remove(&call_id) {
            Some((claim, _)) => {
                self.finish_own(&claim, call_id, ToolResult { is_success: true, output }).await;
                Ok(())
            }
            None if self.seen.contains(&call_id) => {
                Err("the call is run by a tool of the policy, or has a result already".to_owned())
            }
            None => Err("there is no such call".to_owned()),
        }
    }
}
