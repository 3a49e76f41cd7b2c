//! What people ask of a session: read each second, carried out, answered.

use std::time::Duration;

use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{Control, ControlAnswer, ToolResult};
use hooks_openai::{CallApi, Command, Item};
use serde_json::{Map, Value, json};

use super::live::Live;

/// Time in which OpenAI confirms what is asked. With the second until it is read it is less than the three seconds for
/// which whoever asked waits.
const ANSWER_TIME: Duration = Duration::from_millis(1_500);

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
                self.confirmed(message).await?;
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
            "update" => return self.update(argument).await,
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
        self.confirmed(command).await
    }

    /// Changes the configuration: `session` in the form of the session's API, or `instructions`, `voice` and `tools`, which
    /// mean the same in both. A Live session keeps its voice, and adds instructions to those that it has.
    async fn update(&mut self, argument: &Value) -> Result<(), String> {
        let mut change = match argument.get("session") {
            None => Map::new(),
            Some(session) => session.as_object().cloned().ok_or("session must be an object")?,
        };
        let [instructions, voice, tools] = ["instructions", "voice", "tools"].map(|name| argument.get(name).cloned());
        let mut added = None;
        match self.start.api {
            CallApi::Realtime => {
                change.extend(instructions.map(|text| ("instructions".to_owned(), text)));
                change.extend(voice.map(|voice| ("audio".to_owned(), json!({"output": {"voice": voice}}))));
                change.extend(tools.map(|tools| ("tools".to_owned(), tools)));
            }
            CallApi::Live if voice.is_some() => return Err("the voice of a Live session cannot be changed".to_owned()),
            CallApi::Live => {
                added = instructions.and_then(|text| text.as_str().map(str::to_owned));
                let of_backend = |tools| json!({"type": "responses", "responses": {"tools": tools}});
                change.extend(tools.map(|tools| ("delegation".to_owned(), of_backend(tools))));
            }
        }
        if change.is_empty() && added.is_none() {
            return Err("nothing is to be changed: name session, instructions, voice or tools".to_owned());
        }
        if !change.is_empty() {
            self.confirmed(Command::Update(change)).await?;
        }
        match added {
            Some(text) => self.confirmed(Command::Instruct(text.into())).await,
            None => Ok(()),
        }
    }

    async fn confirmed(&mut self, command: Command) -> Result<(), String> {
        self.sideband.request(command, ANSWER_TIME).await.map(drop).map_err(|error| error.to_string())
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
