//! The search for a run of which nobody said what eval it is of: no call takes a run's id alone.

use futures::{StreamExt, TryStreamExt, stream};
use hooks_consumer::HandlerError;
use hooks_openai::{Class, Client, Error, EvalRun};
use tokio::time::Instant;

/// How many evals are searched. A run that has just ended is of an eval in use, and those come first.
const MAX_EVALS: usize = 200;

/// How many evals come with one call. They bring their graders and schemas along.
const PAGE: u8 = 50;

/// How many evals are asked for the run at a time: enough to be through within the function's time, and few against
/// OpenAI's rate limits.
const CONCURRENT_CALLS: usize = 8;

/// What came of looking for a run.
pub(crate) enum Found {
    /// Here it is.
    Run(Box<EvalRun>),
    /// It could not be found, which is a normal end.
    Missing(Missing),
}

/// Why there is no run.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The eval that was recorded for it does not have it.
    Expected { eval_id: String },
    /// None of the evals that were searched has it.
    Unlisted { searched: usize, all: bool },
    /// There is no list of evals any more.
    Ended { status: u16 },
}

/// What OpenAI answered, or the status by which it said that there is no such thing (any more): 404, or 410 once the
/// Evals API has ended.
pub(crate) fn existing<T>(answer: Result<T, Error>) -> Result<Result<T, u16>, HandlerError> {
    match answer {
        Ok(object) => Ok(Ok(object)),
        Err(error) if error.class() == Class::NotFound || error.status() == Some(410) => {
            Ok(Err(error.status().unwrap_or(404)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks eval after eval, the last updated ones first, whether the run is one of its own.
pub(crate) async fn search(openai: &Client, run_id: &str, deadline: Instant) -> Result<Found, HandlerError> {
    let (mut searched, mut after) = (0, None);
    while searched < MAX_EVALS {
        let page = match existing(openai.evals(after.as_deref(), PAGE, deadline).await)? {
            Ok(page) => page,
            // A cursor whose eval was deleted meanwhile, and not the end of the API.
            Err(_) if after.is_some() => {
                return Err(HandlerError::retry("the list of evals changed during the search"));
            }
            Err(status) => return Ok(Found::Missing(Missing::Ended { status })),
        };
        searched += page.ids.len();
        after = page.ids.last().cloned();
        let asked =
            stream::iter(page.ids).map(async |eval_id| existing(openai.eval_run(&eval_id, run_id, deadline).await));
        let runs = asked.buffer_unordered(CONCURRENT_CALLS).try_filter_map(async |answer| Ok(answer.ok()));
        if let Some(run) = std::pin::pin!(runs).try_next().await? {
            return Ok(Found::Run(Box::new(run)));
        }
        if !page.has_more || after.is_none() {
            return Ok(Found::Missing(Missing::Unlisted { searched, all: true }));
        }
    }
    Ok(Found::Missing(Missing::Unlisted { searched, all: false }))
}

impl Missing {
    /// Why there is none, and what to do about it, for whoever wonders.
    pub(crate) fn note(&self, run_id: &str) -> String {
        const OTHERWISE: &str = "a test delivery, a run that was deleted, or one of another project than the API key's";
        match self {
            Self::Expected { eval_id } => format!(
                "OpenAI has no run {run_id} of the eval {eval_id}, which the ledger names for it: {OTHERWISE}; or the \
                 Evals API has ended, as announced for 2026-11-30"
            ),
            Self::Ended { status } => format!(
                "OpenAI answered the list of evals with {status}: the Evals API has ended, as announced for \
                 2026-11-30, so the run {run_id} cannot be retrieved any more"
            ),
            Self::Unlisted { searched, all: true } => {
                format!("none of all {} has the run {run_id}: {OTHERWISE}", evals(*searched))
            }
            Self::Unlisted { searched, all: false } => format!(
                "none of the {} that were updated last has the run {run_id}, and no more are searched. Name its eval \
                 in the ledger and replay the event: an item with pk expected#eval#{run_id}, sk expected and the eval's \
                 id as eval_id. Or it is {OTHERWISE}",
                evals(*searched)
            ),
        }
    }
}

fn evals(number: usize) -> String {
    format!("{number} {}", if number == 1 { "eval" } else { "evals" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_a_search_that_was_given_up_says_how_many_were_searched_and_how_to_name_the_eval() {
        let note = Missing::Unlisted { searched: 200, all: false }.note("evalrun_1");
        for words in ["200 evals", "pk expected#eval#evalrun_1, sk expected", "eval_id", "replay"] {
            assert!(note.contains(words), "{words} is not in {note}");
        }
        // The harness cuts a note at 1 KiB.
        assert!(Missing::Unlisted { searched: 200, all: false }.note(&"x".repeat(128)).len() < 1024);
    }
}
