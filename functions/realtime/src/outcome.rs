//! The outcomes of calls. Phone numbers are masked.

use hooks_consumer::object::present;
use hooks_consumer::{Event, Outcome};
use hooks_openai::{CallApi, for_display};
use hooks_policy::{Action, Call, Decision};
use serde_json::{Map, Value};

use crate::answer::AnswerResult;

/// The status of a call that waited too long.
pub(crate) const TOO_OLD: &str = "too_old";
/// The status of a call for which there was no policy.
pub(crate) const UNANSWERED: &str = "unanswered";

/// The status of a call that was accepted.
const ACCEPTED: &str = "accepted";

/// The status of a call that another program answered.
const ANSWERED_ELSEWHERE: &str = "answered_elsewhere";

/// The outcome for an event that announces no call: a session that is connected already, or an unknown type.
pub(crate) fn not_a_call(event: &Event) -> Outcome {
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        note: Some("the event was recorded; it announces no call to answer".to_owned()),
        ..Outcome::new("recorded", event.created_at.saturating_mul(1000))
    }
}

/// The outcome for a session that was connected without a call, and is supervised.
pub(crate) fn connected(session_id: &str, as_of: i64) -> Outcome {
    Outcome { object_id: Some(session_id.to_owned()), summary: connected_facts(), ..Outcome::new("connected", as_of) }
}

/// Facts of a session that was connected without a call.
pub(crate) fn connected_facts() -> Map<String, Value> {
    present([("kind", Some(Value::from(CallApi::Live.as_str())))])
}

/// Facts of a call for the record of its session.
pub(crate) fn facts(call: &Call<'_>) -> Map<String, Value> {
    present([
        ("kind", Some(call.api.as_str().into())),
        ("from", call.masked("From").map(Value::from)),
        ("to", call.masked("To").map(Value::from)),
    ])
}

/// The outcome for a call that was not answered.
pub(crate) fn not_answered(call: &Call<'_>, status: &str, note: impl Into<String>, age_ms: i64, as_of: i64) -> Outcome {
    Outcome {
        object_id: Some(call.id.to_owned()),
        terminal: true,
        summary: summary(call, age_ms),
        note: Some(note.into()),
        ..Outcome::new(status, as_of)
    }
}

/// The outcome for a call's event of the API that the policy does not use. The call may have an event of the other API
/// as well.
pub(crate) fn for_other_api(call: &Call<'_>, answer_as: CallApi, age_ms: i64, as_of: i64) -> Outcome {
    let note = format!("the policy answers calls as {answer_as}, so the event for {} was ignored", call.api);
    not_answered(call, "left_to_the_other_kind", note, age_ms, as_of)
}

/// The outcome for a call that was answered by the policy.
pub(crate) fn answered(
    call: &Call<'_>,
    decision: &Decision<'_>,
    result: AnswerResult,
    age_ms: i64,
    as_of: i64,
) -> Outcome {
    let (action, status, detail) = match decision.action {
        Action::Accept { model, .. } => ("accept", ACCEPTED, Some(("model", for_display(model).into()))),
        Action::Reject { status_code } => ("reject", "rejected", Some(("status_code", (*status_code).into()))),
        Action::Refer { .. } => ("refer", "referred", None),
    };
    let mut summary = summary(call, age_ms);
    summary.extend(present([
        ("action", Some(action.to_owned())),
        ("rule", Some(decision.place())),
        ("rule_name", decision.name.map(for_display)),
    ]));
    summary.extend(present([("unreadable", decision.unreadable.then_some(true))]));
    summary.extend(detail.map(|(name, value): (&str, Value)| (name.to_owned(), value)));
    let note = match result {
        AnswerResult::Done => None,
        AnswerResult::DoneBefore => {
            Some("OpenAI says that the call was answered before: by an earlier attempt, or by another program")
        }
        AnswerResult::DoneElsewhere => Some("OpenAI says that another program answered the call before"),
        AnswerResult::PerhapsDone => Some(
            "OpenAI has no such call any more. An earlier attempt got no response: it may have been successful, or the \
             caller has hung up",
        ),
        AnswerResult::NotFound => Some(
            "OpenAI has no such call: the caller has hung up, this is a test delivery, or the API key belongs to \
             another project",
        ),
    };
    // A call that was rejected or referred is gone; one that was accepted would be there.
    let is_accept = matches!(decision.action, Action::Accept { .. });
    let status = match result {
        AnswerResult::Done | AnswerResult::DoneBefore => status,
        AnswerResult::PerhapsDone if !is_accept => status,
        AnswerResult::DoneElsewhere => ANSWERED_ELSEWHERE,
        AnswerResult::PerhapsDone | AnswerResult::NotFound => Outcome::NOT_FOUND,
    };
    Outcome {
        object_id: Some(call.id.to_owned()),
        // The supervisor tells how the call ends.
        terminal: status != Outcome::NOT_FOUND && !is_supervised(decision.action, status),
        summary,
        note: note.map(str::to_owned),
        ..Outcome::new(status, as_of)
    }
}

fn is_supervised(action: &Action, status: &str) -> bool {
    matches!(action, Action::Accept { supervise: Some(_), .. }) && status == ACCEPTED
}

fn summary(call: &Call<'_>, age_ms: i64) -> Map<String, Value> {
    let mut summary = facts(call);
    summary.insert("age_ms".to_owned(), age_ms.into());
    summary
}
