//! What is asked of a session: an item of the ledger, which its supervisor reads each second and answers.

use std::time::Duration;

use hooks_aws::ledger::{ControlAnswer, Ledger, SessionRecord};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{PARALLEL, open_keys};
use crate::Result;
use crate::parallel::each;

/// How long an answer is waited for. The supervisor looks each second.
pub const ANSWER_TIME: Duration = Duration::from_secs(3);

/// Pause between two looks for the answer.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// What became of something that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// OpenAI has confirmed it.
    Confirmed,
    /// It was not done, for this reason.
    Refused(String),
    /// No answer came in time. It may still be done.
    Unanswered,
}

impl From<ControlAnswer> for Asked {
    fn from(answer: ControlAnswer) -> Self {
        if answer.confirmed {
            return Self::Confirmed;
        }
        Self::Refused(answer.reason.unwrap_or_else(|| "no reason was given".to_owned()))
    }
}

/// Asks something of a session, and waits for the answer. `kind` and `argument` are those of
/// [`Control`](hooks_aws::ledger::Control). Needs `dynamodb:UpdateItem` and `dynamodb:GetItem`.
pub async fn ask(
    ledger: &Ledger,
    session: &SessionRecord,
    kind: &str,
    argument: &Value,
    asked_by: &str,
) -> Result<Asked> {
    let key = (session.api.as_str(), session.id.as_str());
    let until = Instant::now() + ANSWER_TIME;
    let asked = ledger.ask_session(key, kind, argument, asked_by).await?;
    loop {
        sleep(LOOK_EVERY).await;
        let Ok(control) = timeout_at(until, ledger.control(key, &asked)).await else { return Ok(Asked::Unanswered) };
        if let Some(answer) = control?.and_then(|control| control.answer) {
            return Ok(answer.into());
        }
        if Instant::now() >= until {
            return Ok(Asked::Unanswered);
        }
    }
}

/// Asks the same of all sessions that have not ended, and waits for the answers. Returns the id of each session and what
/// became of it. Needs what [`ask`] needs, and `dynamodb:Query` on the index `by-due`.
pub async fn broadcast(ledger: &Ledger, kind: &str, argument: &Value, asked_by: &str) -> Result<Vec<(String, Asked)>> {
    let (mut waiting, mut done) = (Vec::new(), Vec::new());
    let keys = open_keys(ledger).await?.into_iter();
    let asking = keys.map(|(api, id)| async move {
        let asked = ledger.ask_session((&api, &id), kind, argument, asked_by).await;
        Ok::<_, crate::OperateError>((api, id, asked))
    });
    each(asking, PARALLEL, |(api, id, asked)| match asked {
        Ok(control) => waiting.push((api, id, control)),
        Err(error) => done.push((id, Asked::Refused(error.to_string()))),
    })
    .await?;
    let until = Instant::now() + ANSWER_TIME;
    while !waiting.is_empty() && Instant::now() < until {
        sleep(LOOK_EVERY).await;
        let mut open = Vec::new();
        let looking = waiting.into_iter().map(|(api, id, control)| async move {
            let found = timeout_at(until, ledger.control((&api, &id), &control)).await;
            Ok::<_, crate::OperateError>((api, id, control, found))
        });
        each(looking, PARALLEL, |(api, id, control, found)| {
            match found.ok().and_then(|found| found.ok().flatten()).and_then(|control| control.answer) {
                Some(answer) => done.push((id, answer.into())),
                None => open.push((api, id, control)),
            }
        })
        .await?;
        waiting = open;
    }
    done.extend(waiting.into_iter().map(|(_, id, _)| (id, Asked::Unanswered)));
    Ok(done)
}
