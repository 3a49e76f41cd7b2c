//! The task `expectations`: expected objects whose end was not announced.

use std::collections::{HashMap, HashSet};

use hooks_aws::ledger::Waiting;
use hooks_function::Error;
use hooks_openai::{ErrorClass, Response};
use hooks_telemetry::{Line, Metric};
use hooks_webhook::Category;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::alert;
use crate::error::ReconcileError;
use crate::list_scan::GRACE;
use crate::missed_event::MissedEvent;
use crate::reconciler::{Reconciler, ScanStore};
use crate::services::Services;

/// Expectations per page.
const PAGE: u16 = 100;

/// Responses looked up per run. Those due first come first, and an overdue one is not looked up again, so each gets its
/// turn.
const MAX_LOOK_UPS: usize = 500;

/// Alerts sent per run. The next run sends the rest.
const MAX_ALERTS: usize = 50;

/// Time, in seconds, for which an overdue response is looked up before people are told: one run does that. Later they are
/// told before anything is looked up, so that a look-up that kills the process never keeps them from hearing of it.
const LATE: i64 = 15 * 60;

/// Least time, in seconds, until an event that was queued and never handled is queued again. It grows with the wait: a
/// consumer that is off handles every copy when it is turned on.
const QUEUE_AGAIN: i64 = 60 * 60;

/// Progress and result of a run.
#[derive(Default)]
struct Run {
    looked_up: usize,
    sent: usize,
    overdue: usize,
    /// OpenAI's view of the responses that were looked up and are still awaited.
    known: HashMap<String, Known>,
    /// The expectations that people were told of. The index that lists them lags behind.
    told: HashSet<(Category, String)>,
    /// Why responses were not looked up.
    skipped: Option<String>,
}

/// OpenAI's view of a response.
enum Known {
    /// It has ended, and its event is queued now.
    Sent,
    /// A sentence for people.
    Otherwise(String),
}

/// Alerts people of overdue expectations and looks up expected responses. `now` is in Unix seconds.
pub(crate) async fn run(services: &Services, now: i64, until: Instant) -> Result<Value, Error> {
    let mut run = Run::default();
    let late = run.alert(services, now, now - LATE, until).await;
    // Half of the time, so that slow answers never prevent alerts.
    let half = Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
    let looked_up = run.look_up(services, now, half).await;
    let done = late.and(looked_up).and(run.alert(services, now, now, until).await);
    let Run { looked_up, sent, overdue, skipped, .. } = run;
    let line = match (&done, &skipped) {
        (Ok(()), None) => Line::info("expectations checked"),
        _ => Line::warn("expectations checked in part"),
    };
    let error = done.as_ref().err().map(ReconcileError::to_string);
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
async fn to_look_up(services: &Services, now: i64, until: Instant) -> Result<Vec<Waiting>, ReconcileError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page =
            services.reconciler.ledger.waiting(Category::Response.as_str(), i64::MAX, after.as_ref(), PAGE).await?;
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
    /// Looks up the responses whose webhooks should have arrived by now: OpenAI has no list of responses. A response may
    /// be large, so one at a time.
    ///
    /// A call that OpenAI does not answer is repeated by the next run, until the expectation is overdue: an error of
    /// OpenAI is not one of the invocation.
    async fn look_up(&mut self, services: &Services, now: i64, until: Instant) -> Result<(), ReconcileError> {
        let waiting = to_look_up(services, now, until).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let openai = match services.api_key.client().await {
            Ok(openai) => openai,
            Err(error) => {
                self.skipped = Some(error.to_string());
                return Ok(());
            }
        };
        for waiting in waiting {
            if Instant::now() >= until {
                break;
            }
            if self.told.contains(&(Category::Response, waiting.object_id.clone())) {
                continue;
            }
            self.looked_up += 1;
            match openai.response(&waiting.object_id, until).await {
                Ok(response) => {
                    let known = self.know(services, &waiting, &response, now).await?;
                    self.known.insert(waiting.object_id.clone(), known);
                }
                Err(error) if error.class() == ErrorClass::NotFound => {
                    let gone = "OpenAI has no such response (any more).".to_owned();
                    self.known.insert(waiting.object_id.clone(), Known::Otherwise(gone));
                }
                Err(error) => {
                    self.skipped = Some(error.to_string());
                    // The others would be refused as well.
                    if matches!(error.class(), ErrorClass::Unauthorized | ErrorClass::QuotaExhausted) {
                        break;
                    }
                    continue;
                }
            }
            // Before the next one, which may be large, is retrieved.
            if waiting.due_at <= now && self.overdue < MAX_ALERTS {
                self.alert_of(services, Category::Response, &waiting, now).await?;
            }
        }
        Ok(())
    }

    /// Sends the event of a response that has ended, if its webhook was missed and no copy of it is under way.
    async fn know(
        &mut self,
        services: &Services,
        waiting: &Waiting,
        response: &Response,
        now: i64,
    ) -> Result<Known, ReconcileError> {
        let Reconciler { ledger, .. } = &services.reconciler;
        let Some(event) = MissedEvent::of_response(response) else {
            let status = hooks_openai::for_display(response.status.as_str());
            return Ok(Known::Otherwise(format!("OpenAI says it is {status}.")));
        };
        if services.reconciler.is_known(&event).await? {
            return Ok(Known::Otherwise("It has ended, but its event could not be handled so far.".to_owned()));
        }
        let wait = now.saturating_sub(waiting.created_at.unwrap_or(now)).max(QUEUE_AGAIN);
        let again_at = now.saturating_add(wait);
        if !ledger.queueing(waiting, now, again_at).await? {
            let unhandled = "It has ended. Its event was queued by an earlier run, and nobody has handled it since.";
            return Ok(Known::Otherwise(unhandled.to_owned()));
        }
        if let Err(error) = services.reconciler.send(&event).await {
            // Nothing is under way. If that cannot be written either, the next try waits.
            let _ = ledger.queueing(waiting, again_at, now).await;
            return Err(error);
        }
        self.sent += 1;
        Ok(Known::Sent)
    }

    /// Alerts people of overdue expectations; of responses, of those that were due before `due`.
    async fn alert(&mut self, services: &Services, now: i64, due: i64, until: Instant) -> Result<(), ReconcileError> {
        for category in Category::ALL.into_iter().filter(|category| category.can_be_expected()) {
            let due = if category == Category::Response { due } else { now };
            let mut after = None;
            loop {
                let page = services.reconciler.ledger.waiting(category.as_str(), due, after.as_ref(), PAGE).await?;
                for waiting in page.items {
                    if self.overdue >= MAX_ALERTS || Instant::now() >= until {
                        return Ok(());
                    }
                    self.alert_of(services, category, &waiting, now).await?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn alert_of(
        &mut self,
        services: &Services,
        category: Category,
        waiting: &Waiting,
        now: i64,
    ) -> Result<(), ReconcileError> {
        let Reconciler { ledger, .. } = &services.reconciler;
        let known = match self.known.get(&waiting.object_id).filter(|_| category == Category::Response) {
            Some(Known::Sent) => return Ok(()),
            Some(Known::Otherwise(known)) => Some(known.as_str()),
            None => None,
        };
        let name = (category, waiting.object_id.clone());
        let job = ledger.job(category.as_str(), &waiting.object_id).await?;
        // It has ended, or people were told, since it was listed.
        if self.told.contains(&name) || job.as_ref().is_some_and(|job| job.terminal) {
            return Ok(());
        }
        services.reconciler.alert(&alert::overdue(category, waiting, job.as_ref(), known, now)).await?;
        self.told.insert(name);
        if ledger.overdue(waiting).await? {
            self.overdue += 1;
        }
        Ok(())
    }
}
