//! The handler of `realtime.*` and `live.*` events.

#[cfg(test)]
mod tests;

use std::time::Duration;

use hooks_consumer::{Alert, Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, clock};
use hooks_policy::{Call, Location};
use tokio::time::Instant;

use crate::answer::answer;
use crate::policy_source::{CurrentPolicy, PolicyCache, PolicyError, PolicySource};
use crate::{alert, outcome};

/// Answers calls by the policy.
pub struct CallHandler {
    openai: OpenAi,
    policies: PolicyCache,
    /// Maximum time that a call may have waited, in milliseconds.
    maximum_age: i64,
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
        let source = match location? {
            Location::Parameter(name) => PolicySource::Parameter { parameters: setup.parameters()?, name },
            Location::Object { bucket, key } => PolicySource::Object { bucket: setup.bucket(&bucket)?, key },
        };
        Some(Self { openai: openai?, policies: PolicyCache::new(source), maximum_age: maximum_age? })
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
        let result = answer(&client, &call, decision.action, context, until).await;
        let result = result.map_err(|failure| mask_numbers(failure, &call))?;
        Ok(outcome::answered(&call, &decision, result, age_ms, clock::now_ms()))
    }
}

impl Handler for CallHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let Some(call) = Call::of(event) else { return Ok(outcome::not_a_call(event)) };
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
