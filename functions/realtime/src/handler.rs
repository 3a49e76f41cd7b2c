//! The handler of `realtime.*` and `live.*` events.

#[cfg(test)]
mod tests;

use std::time::Duration;

use hooks_consumer::{Alert, Context, Event, EventData, Handler, HandlerError, OpenAi, Outcome, Setup, clock};
use hooks_openai::CallApi;
use hooks_policy::{Action, Call, Location, Policy, Supervise, add_tools};
use tokio::time::Instant;

use crate::answer::{AnswerResult, answer};
use crate::policy_source::{CurrentPolicy, PolicyCache, PolicyError, PolicySource};
use crate::supervise::{Session, Supervisors};
use crate::{alert, outcome};

/// Type of the event of a session that a browser or an application has connected.
const CONNECTED: &str = "live.transport.connected";

/// Answers calls by the policy.
pub struct CallHandler {
    openai: OpenAi,
    policies: PolicyCache,
    /// Maximum time that a call may have waited, in milliseconds.
    maximum_age: i64,
    supervisors: Supervisors,
}

impl CallHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let openai = setup.openai();
        let location = setup.environment().parsed("CALL_POLICY", str::parse::<Location>);
        let maximum_age = setup.environment().parsed("CALL_MAXIMUM_AGE", |text| {
            let seconds = text.parse::<u32>().ok().filter(|&seconds| seconds > 0);
            seconds.map(|seconds| i64::from(seconds) * 1000).ok_or_else(|| "is not a number above 0".to_owned())
        });
        let supervisors = Supervisors::from_setup(setup);
        let source = match location? {
            Location::Parameter(name) => PolicySource::Parameter { parameters: setup.parameters()?, name },
            Location::Object { bucket, key } => PolicySource::Object { bucket: setup.bucket(&bucket)?, key },
        };
        let policies = PolicyCache::new(source);
        Some(Self { openai: openai?, policies, maximum_age: maximum_age?, supervisors: supervisors? })
    }

    async fn answer(
        &self,
        event: &Event,
        context: &Context,
        call: Call<'_>,
        current: &CurrentPolicy,
    ) -> Result<Outcome, HandlerError> {
        let as_of = clock::now_ms();
        let age_ms = as_of.saturating_sub(event.created_at.saturating_mul(1000)).max(0);
        let Some(policy) = &current.value else {
            if let Some(PolicyError { message, lasting: false }) = &current.error
                && age_ms <= self.maximum_age
            {
                return Err(HandlerError::retry(format!("there is no policy for calls yet: {message}")));
            }
            let alert = alert::unanswered(event, &call, current.error.as_ref(), &self.policies.location());
            let note = "there is no policy for calls";
            let outcome = outcome::not_answered(&call, outcome::UNANSWERED, note, age_ms, as_of);
            return Ok(Outcome { alert: Some(alert), ..outcome });
        };
        if call.api != policy.answer_as {
            return Ok(outcome::for_other_api(&call, policy.answer_as, age_ms, as_of));
        }
        if age_ms > self.maximum_age {
            let alert = alert::too_old(event, &call, age_ms, self.maximum_age / 1000, context.attempt);
            let note = "the call waited too long, so its caller has hung up";
            let outcome = outcome::not_answered(&call, outcome::TOO_OLD, note, age_ms, as_of);
            return Ok(Outcome { alert: Some(alert), ..outcome });
        }
        let decision = policy.decide(call.invite, as_of / 1000);
        let client = self.openai.client().await?;
        let left = Duration::from_millis(u64::try_from(self.maximum_age - age_ms).unwrap_or_default());
        let until = context.deadline.min(Instant::now() + left);
        let result = match decision.action {
            Action::Accept { model, session, supervise: Some(settings) } => {
                let mut session = session.clone();
                if let Err(reason) = add_tools(call.api, &mut session, settings) {
                    tracing::error!("{reason}");
                }
                let action = Action::Accept { model: model.clone(), session, supervise: None };
                let answered = answer(&client, &call, &action, context, until);
                // Large, and moved with every call otherwise.
                Box::pin(self.accept_supervised(&call, settings, context, answered)).await
            }
            action => answer(&client, &call, action, context, until).await,
        };
        let result = result.map_err(|failure| mask_numbers(failure, &call))?;
        Ok(outcome::answered(&call, &decision, result, age_ms, clock::now_ms()))
    }

    /// Accepts a call whose session is supervised.
    ///
    /// A session that cannot be recorded is accepted all the same: a caller waits. The event is tried again then.
    async fn accept_supervised(
        &self,
        call: &Call<'_>,
        settings: &Supervise,
        context: &Context,
        answer: impl Future<Output = Result<AnswerResult, HandlerError>>,
    ) -> Result<AnswerResult, HandlerError> {
        let caller = call.number("From");
        let (api, id, facts) = (call.api, call.id, outcome::facts(call));
        let session = Session { api, id, settings, facts, caller: caller.as_deref() };
        let prepared = self.supervisors.prepare(&session, context).await;
        if let Err(error) = &prepared {
            tracing::error!("{error}; the call is accepted without a supervisor for now");
        }
        let result = answer.await?;
        match result {
            AnswerResult::Done | AnswerResult::DoneBefore => {
                prepared?;
                self.supervisors.start(api, id).await;
            }
            // It may be accepted: the watchdog finds out.
            AnswerResult::PerhapsDone => {}
            AnswerResult::NotFound | AnswerResult::DoneElsewhere => self.supervisors.drop(api, id).await,
        }
        Ok(result)
    }

    /// Starts the supervisor of a session that was connected by WebRTC, if the policy's answer to a call without headers is
    /// a supervised session.
    async fn connected(
        &self,
        event: &Event,
        context: &Context,
        policy: &Policy,
    ) -> Result<Option<Outcome>, HandlerError> {
        let EventData::LiveTransport { session_id, invite, .. } = &event.data else { return Ok(None) };
        let decision = policy.decide(invite, clock::now_ms() / 1000);
        let Action::Accept { supervise: Some(settings), .. } = decision.action else { return Ok(None) };
        if policy.answer_as != CallApi::Live {
            return Ok(None);
        }
        let facts = outcome::connected_facts();
        let session = Session { api: CallApi::Live, id: session_id, settings, facts, caller: None };
        self.supervisors.prepare(&session, context).await?;
        self.supervisors.start(CallApi::Live, session_id).await;
        Ok(Some(outcome::connected(session_id, clock::now_ms())))
    }
}

impl Handler for CallHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let Some(call) = Call::of(event) else {
            if event.event_type == CONNECTED
                && let Some(policy) = &self.policies.current().await.value
                && let Some(outcome) = self.connected(event, context, policy).await?
            {
                return Ok(outcome);
            }
            return Ok(outcome::not_a_call(event));
        };
        let current = self.policies.current().await;
        let mut outcome = self.answer(event, context, call, &current).await?;
        if let (Some(error), None) = (&current.error, &outcome.alert)
            && self.policies.is_new(error)
        {
            outcome.alert = Some(alert::unusable_policy(error, &self.policies.location()));
        }
        Ok(outcome)
    }

    fn alerted(&self, alert: &Alert) {
        if let Some(error) = self.policies.last().error
            && *alert == alert::unusable_policy(&error, &self.policies.location())
        {
            self.policies.alerted(error);
        }
    }

    async fn warm_up(&self) {
        // A failure here shows again when a call comes, and is handled then.
        let _ = tokio::join!(self.policies.current(), self.openai.client());
    }
}

/// Masks the phone numbers in a message: OpenAI may quote the request that it refuses.
fn mask_numbers(failure: HandlerError, call: &Call<'_>) -> HandlerError {
    match failure {
        HandlerError::Retry { after, message } => HandlerError::Retry { after, message: call.mask_numbers(&message) },
        HandlerError::Permanent { reason, message } => {
            HandlerError::Permanent { reason, message: call.mask_numbers(&message) }
        }
    }
}
