//! The items of what people ask of a live session. Its supervisor reads them each second, takes each once, and answers
//! whether OpenAI confirmed it.

use serde_json::Value;

use super::change::{Change, Item, WriteResult};
use super::session::pk;
use super::value::{number, read_number, read_text, text};
use super::{Ledger, bounded, now, random_token};
use crate::AwsError;

/// Beginning of the sort keys.
const SK: &str = "control#";

/// Time for which a request is looked for by its supervisor, in milliseconds. Whoever asks waits for three seconds; an
/// older one is of nobody any more. It covers the difference of two clocks, too.
const LOOKED_FOR: i64 = 60_000;

/// Something that was asked of a session.
#[derive(Clone, PartialEq)]
pub struct Control {
    /// Id, unique within the session.
    pub id: String,
    /// What is asked: `message`, `say`, `instruct`, `update`, `cancel`, `function_result`, `commit_audio`, `clear_audio`,
    /// `clear_output`, `mute`, `unmute`, `send_dtmf`; `hang_up` and `transfer` of OpenAI itself.
    pub kind: String,
    /// Its argument, a JSON value.
    pub argument: Value,
    /// Who asked.
    pub asked_by: String,
    /// Time at which it was asked, in milliseconds since the Unix epoch.
    pub asked_at: i64,
    /// Answer, once there is one.
    pub answer: Option<ControlAnswer>,
    /// Whether a supervisor has taken it, or none is needed.
    pub taken: bool,
}

/// Answer to what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlAnswer {
    /// Whether OpenAI confirmed it.
    pub confirmed: bool,
    /// Why not, in words.
    pub reason: Option<String>,
}

impl Ledger {
    /// Asks something of a session. Returns the request's id, by which [`control`](Self::control) finds the answer.
    pub async fn ask_session(
        &self,
        (api, id): (&str, &str),
        kind: &str,
        argument: &Value,
        asked_by: &str,
    ) -> Result<String, AwsError> {
        self.write_control((api, id), kind, argument, asked_by, None).await
    }

    /// Records something that is asked of OpenAI itself, without a supervisor. [`answer_control`](Self::answer_control) adds
    /// what became of it. Returns the record's id.
    pub async fn record_control(
        &self,
        (api, id): (&str, &str),
        kind: &str,
        argument: &Value,
        asked_by: &str,
    ) -> Result<String, AwsError> {
        self.write_control((api, id), kind, argument, asked_by, Some("nobody")).await
    }

    async fn write_control(
        &self,
        (api, id): (&str, &str),
        kind: &str,
        argument: &Value,
        asked_by: &str,
        taken_by: Option<&str>,
    ) -> Result<String, AwsError> {
        let asked_at = now();
        let control = format!("{asked_at:014}-{}", &random_token()[..12]);
        let change = Change::default()
            .set("kind", text(kind))
            .set("argument", text(argument.to_string()))
            .set("asked_by", text(asked_by))
            .set("asked_at", number(asked_at))
            .set_or_remove("taken_by", taken_by.map(text))
            .set("expires_at", number(self.expires_at()));
        let sk = format!("{SK}{control}");
        self.change("ask the session", &pk(api, id), &sk, change, "attribute_not_exists(pk)").await?;
        Ok(control)
    }

    /// What was asked lately and nobody has taken yet, in order. Needs `dynamodb:Query`.
    pub async fn waiting_controls(&self, (api, id): (&str, &str)) -> Result<Vec<Control>, AwsError> {
        let from = format!("{SK}{:014}", now() - LOOKED_FOR);
        let items = self.items_of_session("read what is asked", &pk(api, id), (&from, "control#~"), None).await?;
        Ok(items.iter().filter_map(Control::read).filter(|control| !control.taken).collect())
    }

    /// Takes what was asked, so that no other supervisor does it as well. `false`: somebody has.
    pub async fn take_control(&self, (api, id): (&str, &str), control: &str) -> Result<bool, AwsError> {
        let token = random_token();
        let change = Change::default().set("taken_by", text(&token));
        let sk = format!("{SK}{control}");
        let condition = "attribute_exists(pk) AND attribute_not_exists(#taken_by)";
        Ok(match self.change("take what is asked", &pk(api, id), &sk, change, condition).await? {
            WriteResult::Yes(_) => true,
            WriteResult::No(item) => read_text(&item, "taken_by") == Some(&token),
        })
    }

    /// Answers what was asked.
    pub async fn answer_control(
        &self,
        (api, id): (&str, &str),
        control: &str,
        answer: &ControlAnswer,
    ) -> Result<(), AwsError> {
        let change = Change::default()
            .set("confirmed", number(answer.confirmed.into()))
            .set_or_remove("reason", answer.reason.as_deref().map(|reason| text(bounded(reason))))
            .set("answered_at", number(now()));
        let sk = format!("{SK}{control}");
        self.change("answer what is asked", &pk(api, id), &sk, change, "attribute_exists(pk)").await.map(drop)
    }

    /// What was asked under this id, with its answer. Needs `dynamodb:GetItem`.
    pub async fn control(&self, (api, id): (&str, &str), control: &str) -> Result<Option<Control>, AwsError> {
        let item = self.item("read what was asked", &pk(api, id), &format!("{SK}{control}")).await?;
        Ok(item.as_ref().and_then(Control::read))
    }

    /// Everything that was asked of a session, in order. Needs `dynamodb:Query`.
    pub async fn controls(&self, (api, id): (&str, &str)) -> Result<Vec<Control>, AwsError> {
        let items = self.items_of_session("read what was asked", &pk(api, id), (SK, "control#~"), None).await?;
        Ok(items.iter().filter_map(Control::read).collect())
    }
}

impl Control {
    fn read(item: &Item) -> Option<Self> {
        let said = |name| read_text(item, name).map(str::to_owned);
        Some(Self {
            id: read_text(item, "sk")?.strip_prefix(SK)?.to_owned(),
            kind: said("kind")?,
            argument: serde_json::from_str(read_text(item, "argument")?).ok()?,
            asked_by: said("asked_by").unwrap_or_default(),
            asked_at: read_number(item, "asked_at").unwrap_or_default(),
            answer: read_number(item, "confirmed")
                .map(|confirmed| ControlAnswer { confirmed: confirmed == 1, reason: said("reason") }),
            taken: item.contains_key("taken_by"),
        })
    }
}

impl std::fmt::Debug for Control {
    /// No argument: it may be what is said to a caller.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}
