//! What is recorded and published of a call. Numbers are masked.

use hooks_consumer::{Event, Outcome};
use serde_json::{Map, Value};

use crate::answer::Answered;
use crate::call::Call;
use crate::policy::{Action, Decision};

/// The call waited for too long.
pub(crate) const TOO_OLD: &str = "too_old";
/// There is no policy to answer by.
pub(crate) const UNANSWERED: &str = "unanswered";

/// An event that is no call: a session that is up already, or a type that is new.
pub(crate) fn recorded(event: &Event) -> Outcome {
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        note: Some("the event is recorded; there is nothing to answer".to_owned()),
        ..Outcome::new("recorded", event.created_at.saturating_mul(1000))
    }
}

/// A call that nothing was done with.
pub(crate) fn left(call: &Call<'_>, status: &str, note: impl Into<String>, age_ms: i64, as_of: i64) -> Outcome {
    Outcome {
        object_id: Some(call.id.to_owned()),
        terminal: true,
        summary: summary(call, age_ms),
        note: Some(note.into()),
        ..Outcome::new(status, as_of)
    }
}

/// The call waits for both APIs, or only for the one that does not answer.
pub(crate) fn left_to_the_other_kind(
    call: &Call<'_>,
    answers: hooks_openai::CallApi,
    age_ms: i64,
    as_of: i64,
) -> Outcome {
    let note = format!("the policy has calls answered as {answers}, so its event for {} is left alone", call.api);
    left(call, "left_to_the_other_kind", note, age_ms, as_of)
}

/// What the policy said was done.
pub(crate) fn answered(
    call: &Call<'_>,
    decision: &Decision<'_>,
    answered: Answered,
    age_ms: i64,
    as_of: i64,
) -> Outcome {
    let Decision { rule, name, action } = decision;
    let (word, status) = match action {
        Action::Accept { .. } => ("accept", "accepted"),
        Action::Reject { .. } => ("reject", "rejected"),
        Action::Refer { .. } => ("refer", "referred"),
    };
    let mut summary = summary(call, age_ms);
    let mut add = |name: &str, value: Value| summary.insert(name.to_owned(), value);
    add("action", word.into());
    add("rule", rule.map_or_else(|| "default".to_owned(), |at| format!("rules[{at}]")).into());
    if let Some(name) = name {
        add("rule_name", hooks_openai::for_display(name).into());
    }
    match action {
        Action::Accept { model, .. } => add("model", hooks_openai::for_display(model).into()),
        Action::Reject { status_code } => add("status_code", (*status_code).into()),
        Action::Refer { .. } => None,
    };
    let note = match answered {
        Answered::Now => None,
        Answered::Before => {
            Some("OpenAI says that the call was answered before: by an earlier try of ours, or by somebody else")
        }
        Answered::Perhaps => Some(
            "OpenAI has no such call any more. An earlier try got no answer: it may have got through, or the caller has \
             hung up",
        ),
        Answered::Gone => Some(
            "OpenAI has no such call: the caller has hung up, or this is a test delivery, or the API key is \
                  another project's",
        ),
    };
    // A call that was rejected or referred is gone; one that was accepted would be there.
    let is_accept = matches!(action, Action::Accept { .. });
    let gone = answered == Answered::Gone || (answered == Answered::Perhaps && is_accept);
    Outcome {
        object_id: Some(call.id.to_owned()),
        terminal: !gone,
        summary,
        note: note.map(str::to_owned),
        ..Outcome::new(if gone { Outcome::NOT_FOUND } else { status }, as_of)
    }
}

fn summary(call: &Call<'_>, age_ms: i64) -> Map<String, Value> {
    let mut summary = Map::new();
    summary.insert("kind".to_owned(), call.api.as_str().into());
    summary.insert("age_ms".to_owned(), age_ms.into());
    for (name, header) in [("from", "From"), ("to", "To")] {
        if let Some(masked) = call.masked(header) {
            summary.insert(name.to_owned(), masked.into());
        }
    }
    summary
}
