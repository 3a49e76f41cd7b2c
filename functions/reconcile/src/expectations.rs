//! The task `expectations`: what was expected and has not been told of.

use std::collections::HashMap;

use hooks_aws::ledger::Waiting;
use hooks_openai::{ErrorClass, Response};
use hooks_telemetry::{Line, Metric};
use lambda_runtime::Error;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::alert;
use crate::desk::Books;
use crate::ending::Ending;
use crate::fault::Fault;
use crate::settings::Services;
use crate::walk::GRACE;

/// What can be expected.
const CATEGORIES: [&str; 4] = [RESPONSE, "batch", "eval", "fine-tuning"];

/// OpenAI lists no responses, so only those that are expected can be looked up, one by one.
const RESPONSE: &str = "response";

/// How many expectations are read at a time.
const PAGE: u16 = 100;

/// How many responses one run looks up. Those due first come first, and whoever is due leaves, so each gets its turn.
const MAX_LOOK_UPS: usize = 500;

/// How many alerts one run sends. The next one sends the rest.
const MAX_ALERTS: usize = 50;

/// What a run came to.
#[derive(Default)]
struct Run {
    looked_up: usize,
    sent: usize,
    overdue: usize,
    /// What OpenAI says of the responses that were looked up and are still waited for.
    known: HashMap<String, Known>,
    /// Why responses were not looked up.
    skipped: Option<String>,
}

/// What OpenAI says of a response.
enum Known {
    /// It has ended, and its event is in the queue now.
    Sent,
    /// In words, for people.
    Otherwise(String),
}

/// Looks up what is expected. `now` is in Unix seconds.
pub(crate) async fn run(services: &Services, now: i64, until: Instant) -> Result<Value, Error> {
    let mut run = Run::default();
    // Half of the time, so that slow answers never keep people from being told.
    let half = Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
    let looked = run.look_up(services, now, half).await;
    let done = looked.and(run.tell(services, now, until).await);
    let Run { looked_up, sent, overdue, skipped, .. } = run;
    let line = match (&done, &skipped) {
        (Ok(()), None) => Line::info("expectations checked"),
        _ => Line::warn("expectations checked in part"),
    };
    let error = done.as_ref().err().map(Fault::to_string);
    line.number("looked_up", looked_up as u64)
        .maybe("error", error.as_deref().or(skipped.as_deref()))
        .metric(Metric::Reconciled, sent as u64)
        .metric(Metric::Overdue, overdue as u64)
        .emit();
    done?;
    let mut result = json!({"task": "expectations", "looked_up": looked_up, "sent": sent, "overdue": overdue});
    if let Some(skipped) = skipped {
        result["skipped"] = skipped.into();
    }
    Ok(result)
}

/// The responses that were expected long enough ago for their webhooks to have come.
async fn to_look_up(services: &Services, now: i64, until: Instant) -> Result<Vec<Waiting>, Fault> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = services.desk.ledger.waiting(RESPONSE, i64::MAX, after.as_ref(), PAGE).await?;
        let is_young = |waiting: &Waiting| waiting.created_at.is_some_and(|at| at > now - GRACE);
        found.extend(page.items.into_iter().filter(|waiting| !is_young(waiting)));
        after = page.next;
        if after.is_none() || found.len() >= MAX_LOOK_UPS || Instant::now() >= until {
            found.truncate(MAX_LOOK_UPS);
            return Ok(found);
        }
    }
}

impl Run {
    /// Looks up the responses whose webhooks should have come by now. A response may be large, so one at a time.
    ///
    /// What OpenAI does not answer is asked again with the next run, and at last the expectation is overdue: a fault of
    /// OpenAI's is not the invocation's.
    async fn look_up(&mut self, services: &Services, now: i64, until: Instant) -> Result<(), Fault> {
        let waiting = to_look_up(services, now, until).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let openai = match services.openai().await {
            Ok(openai) => openai,
            Err(fault) => {
                self.skipped = Some(fault.to_string());
                return Ok(());
            }
        };
        for Waiting { object_id, .. } in waiting {
            if Instant::now() >= until {
                break;
            }
            self.looked_up += 1;
            match openai.response(&object_id, until).await {
                Ok(response) => {
                    let known = self.know(services, &response).await?;
                    self.known.insert(object_id, known);
                }
                Err(error) if error.class() == ErrorClass::NotFound => {
                    let gone = "OpenAI has no such response (any more).".to_owned();
                    self.known.insert(object_id, Known::Otherwise(gone));
                }
                Err(error) => {
                    self.skipped = Some(error.to_string());
                    // What refuses one refuses all.
                    if matches!(error.class(), ErrorClass::Unauthorized | ErrorClass::QuotaExhausted) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// A response that has ended and that nobody has heard of has lost its webhook.
    async fn know(&mut self, services: &Services, response: &Response) -> Result<Known, Fault> {
        let Some(ending) = Ending::of_response(response) else {
            let status = hooks_openai::for_display(response.status.as_str());
            return Ok(Known::Otherwise(format!("OpenAI says it is {status}.")));
        };
        if services.desk.is_known(&ending).await? {
            return Ok(Known::Otherwise("It has ended, but its event could not be handled so far.".to_owned()));
        }
        services.desk.send(&ending).await?;
        self.sent += 1;
        Ok(Known::Sent)
    }

    /// Tells people of what is overdue.
    async fn tell(&mut self, services: &Services, now: i64, until: Instant) -> Result<(), Fault> {
        for category in CATEGORIES {
            let mut after = None;
            loop {
                let page = services.desk.ledger.waiting(category, now, after.as_ref(), PAGE).await?;
                for waiting in page.items {
                    if self.overdue >= MAX_ALERTS || Instant::now() >= until {
                        return Ok(());
                    }
                    self.tell_of(services, category, &waiting, now).await?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn tell_of(
        &mut self,
        services: &Services,
        category: &'static str,
        waiting: &Waiting,
        now: i64,
    ) -> Result<(), Fault> {
        let known = match self.known.get(&waiting.object_id).filter(|_| category == RESPONSE) {
            Some(Known::Sent) => return Ok(()),
            Some(Known::Otherwise(known)) => Some(known.as_str()),
            None => None,
        };
        let job = services.desk.ledger.job(category, &waiting.object_id).await?;
        let (subject, message) = alert::overdue(category, waiting, job.as_ref(), known, now);
        services.outcomes.alert(&alert::notice(category, &subject, &message)).await?;
        if services.desk.ledger.overdue(waiting).await? {
            self.overdue += 1;
        }
        Ok(())
    }
}
