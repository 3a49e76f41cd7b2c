//! The task `expectations`: expected objects whose end was not announced.

use std::collections::HashMap;

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
use crate::reconciler::ScanStore;
use crate::services::Services;

/// Expectations per page.
const PAGE: u16 = 100;

/// Responses looked up per run. Those due first come first, and an overdue one is not looked up again, so each gets its turn.
const MAX_LOOK_UPS: usize = 500;

/// Alerts sent per run. The next run sends the rest.
const MAX_ALERTS: usize = 50;

/// Progress and result of a run.
#[derive(Default)]
struct Run {
    looked_up: usize,
    sent: usize,
    overdue: usize,
    /// OpenAI's view of the responses that were looked up and are still awaited.
    known: HashMap<String, Known>,
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

/// Looks up expected responses and alerts people of overdue expectations. `now` is in Unix seconds.
pub(crate) async fn run(services: &Services, now: i64, until: Instant) -> Result<Value, Error> {
    let mut run = Run::default();
    // Half of the time, so that slow answers never prevent alerts.
    let half = Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
    // People are told before anything large is retrieved.
    let told = run.alert(services, |category| category != Category::Response, now, until).await;
    let looked_up = run.look_up(services, now, half).await;
    let done =
        told.and(looked_up).and(run.alert(services, |category| category == Category::Response, now, until).await);
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
            self.looked_up += 1;
            match openai.response(&waiting.object_id, until).await {
                Ok(response) => {
                    let known = self.know(services, &response).await?;
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

    /// Sends the event of a response that has ended, if its webhook was missed.
    async fn know(&mut self, services: &Services, response: &Response) -> Result<Known, ReconcileError> {
        let Some(event) = MissedEvent::of_response(response) else {
            let status = hooks_openai::for_display(response.status.as_str());
            return Ok(Known::Otherwise(format!("OpenAI says it is {status}.")));
        };
        if services.reconciler.is_known(&event).await? {
            return Ok(Known::Otherwise("It has ended, but its event could not be handled so far.".to_owned()));
        }
        services.reconciler.send(&event).await?;
        self.sent += 1;
        Ok(Known::Sent)
    }

    /// Alerts people of overdue expectations.
    async fn alert(
        &mut self,
        services: &Services,
        concerns: impl Fn(Category) -> bool,
        now: i64,
        until: Instant,
    ) -> Result<(), ReconcileError> {
        let categories = Category::ALL.into_iter().filter(|category| category.can_be_expected());
        for category in categories.filter(|category| concerns(*category)) {
            let mut after = None;
            loop {
                let page = services.reconciler.ledger.waiting(category.as_str(), now, after.as_ref(), PAGE).await?;
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
        let known = match self.known.get(&waiting.object_id).filter(|_| category == Category::Response) {
            Some(Known::Sent) => return Ok(()),
            Some(Known::Otherwise(known)) => Some(known.as_str()),
            None => None,
        };
        let job = services.reconciler.ledger.job(category.as_str(), &waiting.object_id).await?;
        let (subject, message) = alert::overdue(category, waiting, job.as_ref(), known, now);
        services.outcomes.alert(&alert::notice(category, &subject, &message)).await?;
        if services.reconciler.ledger.overdue(waiting).await? {
            self.overdue += 1;
        }
        Ok(())
    }
}
