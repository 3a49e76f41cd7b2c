//! Client events.

use std::fmt;

use hooks_webhook::CallApi;
use serde_json::{Map, Value, json};

use super::error::SidebandError;
use super::text::CallText;

/// The size limit of a command, bytes. Instructions of 16,384 tokens with the tools of a session fit.
pub const MAX_COMMAND_BYTES: usize = 256 * 1024;

/// Name of the member of a response's metadata that has the id of the command that asked for it.
pub(super) const ASKED_BY: &str = "client_event_id";

/// A command to a session: one meaning, in the form of the session's API.
///
/// | command | Live | Realtime |
/// |---|---|---|
/// | [`Update`](Self::Update) | `session.update` | `session.update`, with `type` |
/// | [`Say`](Self::Say) | `session.commentary.append` | `response.create` with these instructions |
/// | [`Instruct`](Self::Instruct) | `session.instructions.append` | `conversation.item.create`, system message |
/// | [`Think`](Self::Think) | `session.thinking.append` | none |
/// | [`Comment`](Self::Comment) | `session.commentary.append` | none |
/// | [`Add`](Self::Add) | `response.item.create` | `conversation.item.create` |
/// | [`Respond`](Self::Respond) | `response.create` | `response.create` |
/// | [`CancelResponse`](Self::CancelResponse) | none | `response.cancel` |
/// | [`CommitAudio`](Self::CommitAudio), [`ClearAudio`](Self::ClearAudio) | none | `input_audio_buffer.commit`, `.clear` |
/// | [`ClearOutput`](Self::ClearOutput) | none | `output_audio_buffer.clear` |
/// | [`Mute`](Self::Mute), [`Unmute`](Self::Unmute) | `session.input_audio.mute`, `.unmute` | none |
/// | [`Decide`](Self::Decide), [`AddDecisionItem`](Self::AddDecisionItem), [`DeleteDecisionItem`](Self::DeleteDecisionItem) | `decision.create`, `decision.item.create`, `.delete` | none |
/// | [`SendDtmf`](Self::SendDtmf) | `transport.dtmf.send` | none |
/// | [`Close`](Self::Close) | `session.close` | none: [`Client::hangup_call`](crate::Client::hangup_call) |
///
/// The wire forms are documented by OpenAI. That `Say` and `Instruct` mean the same in both APIs is our reading of them.
#[derive(Clone, PartialEq)]
pub enum Command {
    /// Changes the session's configuration; what is left out stays. Live takes `delegation` (whose type must stay) and
    /// `triggers` only. Realtime takes all but `model`, and a voice until the first audio; `type` is set here.
    Update(Map<String, Value>),
    /// Has the model say this to the caller. Live takes up to 500 tokens. Realtime refuses it while a response is active.
    Say(CallText),
    /// Adds an instruction of the developer to the conversation. Live takes up to 500 tokens. Nothing is said for it.
    Instruct(CallText),
    /// Adds context that is not spoken.
    Think {
        /// Up to 500 tokens.
        text: CallText,
        /// The delegation that it belongs to, of a session whose delegations are the client's.
        delegation_id: Option<String>,
    },
    /// Adds context that the model may speak, such as the result of a delegation.
    Comment {
        /// Up to 500 tokens.
        text: CallText,
        /// The delegation that it belongs to, of a session whose delegations are the client's.
        delegation_id: Option<String>,
    },
    /// Adds an item to the conversation; in a Live session to that of its Responses backend. [`Respond`](Self::Respond) has
    /// it answered.
    Add(Item),
    /// Asks for a response to the conversation as it is. After the results of tools it is what makes the model go on.
    Respond,
    /// Ends a response, or the running one. Refused, without harm, if none is running.
    CancelResponse {
        /// `resp_...`
        response_id: Option<String>,
    },
    /// Makes a message of the audio so far. Not needed where the server detects turns. Refused if there is none.
    CommitAudio,
    /// Drops the audio of the caller so far.
    ClearAudio,
    /// Stops what is being said. [`CancelResponse`](Self::CancelResponse) goes before it.
    ClearOutput,
    /// Gives the model silence instead of the caller.
    Mute,
    /// Ends [`Mute`](Self::Mute).
    Unmute,
    /// Evaluates the configured questions now.
    Decide,
    /// Adds an item for later decisions, as OpenAI documents `decision.item.create`.
    AddDecisionItem(Map<String, Value>),
    /// Removes an item from later decisions.
    DeleteDecisionItem(String),
    /// Sends one key: `0` to `9`, `A` to `D`, `*` or `#`.
    SendDtmf(char),
    /// Ends the session.
    Close,
}

/// An item of a conversation.
#[derive(Clone, PartialEq)]
pub enum Item {
    /// Text as if the caller had said it.
    UserText(CallText),
    /// The result of a tool call.
    FunctionResult {
        /// The call's id: [`ToolCall::call_id`](super::ToolCall::call_id).
        call_id: String,
        /// The result as the model gets it, usually JSON.
        output: CallText,
    },
}

impl Item {
    fn into_json(self) -> Value {
        match self {
            Self::UserText(text) => message("user", &text),
            Self::FunctionResult { call_id, output } => {
                json!({"type": "function_call_output", "call_id": call_id, "output": output.into_string()})
            }
        }
    }
}

fn message(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})
}

impl Command {
    /// What it does, to follow "to".
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Update(_) => "update the session",
            Self::Say(_) => "say something",
            Self::Instruct(_) => "add an instruction",
            Self::Think { .. } => "add a thought",
            Self::Comment { .. } => "add a commentary",
            Self::Add(Item::UserText(_)) => "add a message",
            Self::Add(Item::FunctionResult { .. }) => "add the result of a tool",
            Self::Respond => "ask for a response",
            Self::CancelResponse { .. } => "cancel a response",
            Self::CommitAudio => "commit the audio",
            Self::ClearAudio => "clear the audio",
            Self::ClearOutput => "clear the output",
            Self::Mute => "mute the caller",
            Self::Unmute => "unmute the caller",
            Self::Decide => "decide",
            Self::AddDecisionItem(_) => "add an item for decisions",
            Self::DeleteDecisionItem(_) => "delete an item of decisions",
            Self::SendDtmf(_) => "send a key",
            Self::Close => "close the session",
        }
    }

    /// The client event with this id.
    ///
    /// # Errors
    ///
    /// The session's API has no such command, no telephone has the key, or the event is too large.
    pub(super) fn event(self, api: CallApi, id: &str) -> Result<String, SidebandError> {
        let command = self.name();
        let none = SidebandError::NoSuchCommand { api, command };
        let mut event = match api {
            CallApi::Live => self.live()?,
            CallApi::Realtime => self.realtime(id),
        }
        .ok_or(none)?;
        event["event_id"] = id.into();
        let event = event.to_string();
        if event.len() > MAX_COMMAND_BYTES {
            return Err(SidebandError::TooLarge { limit: MAX_COMMAND_BYTES });
        }
        Ok(event)
    }

    fn live(self) -> Result<Option<Value>, SidebandError> {
        let appended = |kind: &str, text: CallText, delegation_id: Option<String>| json!({"type": kind, "content": text.into_string(), "delegation_id": delegation_id});
        Ok(Some(match self {
            Self::Update(session) => json!({"type": "session.update", "session": session}),
            Self::Say(text) => appended("session.commentary.append", text, None),
            Self::Instruct(text) => appended("session.instructions.append", text, None),
            Self::Think { text, delegation_id } => appended("session.thinking.append", text, delegation_id),
            Self::Comment { text, delegation_id } => appended("session.commentary.append", text, delegation_id),
            Self::Add(item) => json!({"type": "response.item.create", "item": item.into_json()}),
            Self::Respond => json!({"type": "response.create"}),
            Self::Mute => json!({"type": "session.input_audio.mute"}),
            Self::Unmute => json!({"type": "session.input_audio.unmute"}),
            Self::Decide => json!({"type": "decision.create"}),
            Self::AddDecisionItem(item) => json!({"type": "decision.item.create", "item": item}),
            Self::DeleteDecisionItem(id) => json!({"type": "decision.item.delete", "item_id": id}),
            Self::SendDtmf(key @ ('0'..='9' | 'A'..='D' | '*' | '#')) => {
                json!({"type": "transport.dtmf.send", "event": key})
            }
            Self::SendDtmf(_) => return Err(SidebandError::NoSuchKey),
            Self::Close => json!({"type": "session.close"}),
            Self::CancelResponse { .. } | Self::CommitAudio | Self::ClearAudio | Self::ClearOutput => return Ok(None),
        }))
    }

    fn realtime(self, id: &str) -> Option<Value> {
        // An item takes the id of its command, so that its confirmation can be told from others.
        let create = |mut item: Value| {
            item["id"] = id.into();
            json!({"type": "conversation.item.create", "item": item})
        };
        Some(match self {
            Self::Update(mut session) => {
                session.insert("type".to_owned(), CallApi::Realtime.as_str().into());
                json!({"type": "session.update", "session": session})
            }
            Self::Say(text) => {
                let instructions = format!("Say this to the caller now, and nothing else:\n{}", text.as_str());
                json!({"type": "response.create", "response": {"instructions": instructions, "metadata": {ASKED_BY: id}}})
            }
            Self::Instruct(text) => create(message("system", &text)),
            Self::Add(item) => create(item.into_json()),
            Self::Respond => json!({"type": "response.create", "response": {"metadata": {ASKED_BY: id}}}),
            Self::CancelResponse { response_id } => match response_id {
                Some(response_id) => json!({"type": "response.cancel", "response_id": response_id}),
                None => json!({"type": "response.cancel"}),
            },
            Self::CommitAudio => json!({"type": "input_audio_buffer.commit"}),
            Self::ClearAudio => json!({"type": "input_audio_buffer.clear"}),
            Self::ClearOutput => json!({"type": "output_audio_buffer.clear"}),
            Self::Think { .. }
            | Self::Comment { .. }
            | Self::Mute
            | Self::Unmute
            | Self::Decide
            | Self::AddDecisionItem(_)
            | Self::DeleteDecisionItem(_)
            | Self::SendDtmf(_)
            | Self::Close => return None,
        })
    }
}

/// Shows what it does, not with which words.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({})", self.name())
    }
}

/// Shows its kind.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserText(_) => "UserText",
            Self::FunctionResult { .. } => "FunctionResult",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> CallText {
        "T".into()
    }

    /// Every command, and its form in both APIs.
    fn forms() -> Vec<(Command, Option<Value>, Option<Value>)> {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let id = Some("del_1".to_owned());
        let appended = |kind: &str, id: Value| Some(json!({"type": kind, "content": "T", "delegation_id": id}));
        let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "T"});
        let message = |role: &str| json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": "T"}], "id": "cmd_1"});
        let mut said = message("user");
        said.as_object_mut().unwrap().remove("id");
        let created = |item: &Value| {
            let mut item = item.clone();
            item["id"] = "cmd_1".into();
            Some(json!({"type": "conversation.item.create", "item": item}))
        };
        let typed = |kind: &str| Some(json!({"type": kind}));
        let say = "Say this to the caller now, and nothing else:\nT";
        let asked = json!({ASKED_BY: "cmd_1"});
        vec![
            (
                Command::Update(object(json!({"triggers": []}))),
                Some(json!({"type": "session.update", "session": {"triggers": []}})),
                Some(json!({"type": "session.update", "session": {"triggers": [], "type": "realtime"}})),
            ),
            (
                Command::Say(text()),
                appended("session.commentary.append", Value::Null),
                Some(json!({"type": "response.create", "response": {"instructions": say, "metadata": asked}})),
            ),
            (
                Command::Instruct(text()),
                appended("session.instructions.append", Value::Null),
                created(&message("system")),
            ),
            (
                Command::Think { text: text(), delegation_id: id.clone() },
                appended("session.thinking.append", "del_1".into()),
                None,
            ),
            (
                Command::Comment { text: text(), delegation_id: id },
                appended("session.commentary.append", "del_1".into()),
                None,
            ),
            (
                Command::Add(Item::UserText(text())),
                Some(json!({"type": "response.item.create", "item": said})),
                created(&said),
            ),
            (
                Command::Add(Item::FunctionResult { call_id: "call_1".to_owned(), output: text() }),
                Some(json!({"type": "response.item.create", "item": result})),
                created(&result),
            ),
            (
                Command::Respond,
                typed("response.create"),
                Some(json!({"type": "response.create", "response": {"metadata": asked}})),
            ),
            (
                Command::CancelResponse { response_id: Some("resp_1".to_owned()) },
                None,
                Some(json!({"type": "response.cancel", "response_id": "resp_1"})),
            ),
            (Command::CancelResponse { response_id: None }, None, typed("response.cancel")),
            (Command::CommitAudio, None, typed("input_audio_buffer.commit")),
            (Command::ClearAudio, None, typed("input_audio_buffer.clear")),
            (Command::ClearOutput, None, typed("output_audio_buffer.clear")),
            (Command::Mute, typed("session.input_audio.mute"), None),
            (Command::Unmute, typed("session.input_audio.unmute"), None),
            (Command::Decide, typed("decision.create"), None),
            (
                Command::AddDecisionItem(object(json!({"role": "user"}))),
                Some(json!({"type": "decision.item.create", "item": {"role": "user"}})),
                None,
            ),
            (
                Command::DeleteDecisionItem("item_1".to_owned()),
                Some(json!({"type": "decision.item.delete", "item_id": "item_1"})),
                None,
            ),
            (Command::SendDtmf('#'), Some(json!({"type": "transport.dtmf.send", "event": "#"})), None),
            (Command::Close, typed("session.close"), None),
        ]
    }

    #[test]
    fn each_command_has_the_form_of_its_api_or_is_named_as_missing() {
        for (command, live, realtime) in forms() {
            for (api, expected) in [(CallApi::Live, live), (CallApi::Realtime, realtime)] {
                let name = command.name();
                match (command.clone().event(api, "cmd_1"), expected) {
                    (Ok(event), Some(mut expected)) => {
                        expected["event_id"] = "cmd_1".into();
                        assert_eq!(serde_json::from_str::<Value>(&event).unwrap(), expected, "{api}: {name}");
                    }
                    (Err(error), None) => assert_eq!(error, SidebandError::NoSuchCommand { api, command: name }),
                    (got, expected) => panic!("{api}: {name}: {got:?} instead of {expected:?}"),
                }
            }
        }
    }

    #[test]
    fn a_key_that_no_telephone_has_is_refused() {
        for key in ['E', 'a', ' ', '\u{664}'] {
            assert_eq!(Command::SendDtmf(key).event(CallApi::Live, "cmd_1"), Err(SidebandError::NoSuchKey), "{key:?}");
        }
    }
}
