//! What an eval event means.

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::ledger::Ledger;
use hooks_consumer::{Category, Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, object_id, when};
use hooks_openai::{Client, EvalRun};

use crate::search::{Found, Missing, existing, search};
use crate::{alert, outcome};

/// The attribute of a run's expectation that names its eval.
const EVAL_ID: &str = "eval_id";

/// Handles eval events.
pub(crate) struct Evals {
    openai: OpenAi,
    ledger: Ledger,
}

impl Evals {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()?, ledger: setup.ledger()? })
    }

    /// Finds the run, by the eval that somebody recorded for it or else by a search.
    async fn find(&self, openai: &Client, run_id: &str, context: &Context) -> Result<Found, HandlerError> {
        let expected = self.ledger.expected(Category::Eval.as_str(), run_id, EVAL_ID).await;
        let Some(eval_id) = expected.map_err(|error| HandlerError::retry(error.to_string()))? else {
            return search(openai, run_id, context.deadline).await;
        };
        if Key::new(&[&eval_id]).is_err() {
            let message = format!(
                "the ledger's item expected#eval#{run_id} has an eval_id that no eval has; correct it, then redrive"
            );
            return Err(HandlerError::permanent("unusable_expectation", message));
        }
        Ok(match existing(openai.eval_run(&eval_id, run_id, context.deadline).await)? {
            Ok(run) => Found::Run(Box::new(run)),
            Err(_) => Found::Missing(Missing::Expected { eval_id }),
        })
    }
}

impl Handler for Evals {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "eval run")?;
        let report = Key::new(&["eval", id, "report.json"])
            .map_err(|error| HandlerError::permanent("unusable_id", format!("the event names {error}")))?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        let run = match self.find(&openai, id, context).await? {
            Found::Run(run) => run,
            Found::Missing(missing) => return Ok(outcome::missing(id, &missing, as_of)),
        };
        let seen = outcome::of(&run, as_of);
        if run.is_under_way() {
            let (kind, status) = (&event.event_type, hooks_openai::for_display(&run.status));
            return if ends(event) {
                Err(HandlerError::retry(format!("{kind} was announced, but the run is still {status}")))
            } else {
                Ok(seen)
            };
        }
        keep(&run, &report, seen, context).await
    }
}

/// Stores the run, so that the outcome that names it is published when it is there.
async fn keep(run: &EvalRun, report: &Key, seen: Outcome, context: &Context) -> Result<Outcome, HandlerError> {
    let artifacts = &context.artifacts;
    artifacts.put(report, JSON, run.json.clone()).await.map_err(|error| HandlerError::retry(error.to_string()))?;
    let alert = alert::failed(run, artifacts.bucket(), report);
    Ok(Outcome { artifacts: vec![report.to_string()], artifact_bytes: run.json.len() as u64, alert, ..seen })
}

/// Whether the event says that its run has come to an end.
fn ends(event: &Event) -> bool {
    ["eval.run.succeeded", "eval.run.failed", "eval.run.canceled"].contains(&event.event_type.as_str())
}
