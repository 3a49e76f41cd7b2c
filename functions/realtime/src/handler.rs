//! What an event of a call means.

#[cfg(test)]
mod tests;

use std::time::Duration;

use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, when};
use tokio::time::Instant;

use crate::answer::answer;
use crate::call::Call;
use crate::policy::source::{Current, Location, Policies, Problem, Source};
use crate::{alert, outcome};

/// Answers calls.
pub(crate) struct Calls {
    openai: OpenAi,
    policies: Policies,
    /// How long a call may have waited, in milliseconds.
    maximum_age: i64,
}

impl Calls {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let openai = setup.openai();
        let location = setup.environment().parsed("CALL_POLICY", str::parse::<Location>);
        let maximum_age = setup.environment().parsed("CALL_MAXIMUM_AGE", |text| {
            let seconds = text.parse::<u32>().ok().filter(|&seconds| seconds > 0);
            seconds.map(|seconds| i64::from(seconds) * 1000).ok_or_else(|| "is not a number above 0".to_owned())
        });
        let source = match location? {
            Location::Parameter(name) => Source::Parameter { parameters: setup.parameters()?, name },
            Location::Object { bucket, key } => Source::Object { bucket: setup.bucket(&bucket)?, key },
        };
        Some(Self { openai: openai?, policies: Policies::new(source), maximum_age: maximum_age? })
    }

    /// Answers a call by the policy in use.
    async fn answer(
        &self,
        event: &Event,
        context: &Context,
        call: Call<'_>,
        current: &Current,
    ) -> Result<Outcome, HandlerError> {
        let as_of = when::now();
        let age_ms = as_of.saturating_sub(event.created_at.saturating_mul(1000)).max(0);
        let until = context.deadline.min(Instant::now() + self.time_left(age_ms));
        let Some(policy) = &current.policy else {
            if let Some(Problem { message, lasting: false }) = &current.problem
                && age_ms <= self.maximum_age
            {
                return Err(HandlerError::retry(format!("there is no policy for calls yet: {message}")));
            }
            let alert = alert::unanswered(event, &call, current.problem.as_ref(), &self.policies.location());
            let left = outcome::left(&call, outcome::UNANSWERED, "there is no policy for calls", age_ms, as_of);
            return Ok(Outcome { alert: Some(alert), ..left });
        };
        if call.api != policy.answer_as {
            return Ok(outcome::left_to_the_other_kind(&call, policy.answer_as, age_ms, as_of));
        }
        if age_ms > self.maximum_age {
            let alert = alert::too_old(event, &call, age_ms, self.maximum_age / 1000, context.attempt);
            let left = outcome::left(&call, outcome::TOO_OLD, "its caller has gone by now", age_ms, as_of);
            return Ok(Outcome { alert: Some(alert), ..left });
        }
        let decision = policy.decide(&call);
        let client = self.openai.client().await?;
        let answered = answer(&client, &call, decision.action, context, until).await;
        let answered = answered.map_err(|failure| without_numbers(failure, &call))?;
        Ok(outcome::answered(&call, &decision, answered, age_ms, when::now()))
    }

    fn time_left(&self, age_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.maximum_age - age_ms).unwrap_or_default())
    }
}

impl Handler for Calls {
    /// A caller does not wait for the queue: a call that is not there is looked for while it is answered.
    const PATIENCE: Duration = Duration::ZERO;

    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let Some(call) = Call::of(event) else { return Ok(outcome::recorded(event)) };
        let current = self.policies.current().await;
        let mut outcome = self.answer(event, context, call, &current).await?;
        if let (Some(problem), None) = (&current.problem, &outcome.alert)
            && self.policies.is_news(problem).await
        {
            outcome.alert = Some(alert::broken(problem, &self.policies.location()));
        }
        Ok(outcome)
    }

    async fn warm_up(&self) {
        // What is missing is found out again, and dealt with, when a call comes.
        let _ = tokio::join!(self.policies.current(), self.openai.client());
    }
}

/// OpenAI may quote what it refuses.
fn without_numbers(failure: HandlerError, call: &Call<'_>) -> HandlerError {
    match failure {
        HandlerError::Retry { after, message } => {
            HandlerError::Retry { after, message: call.without_numbers(&message) }
        }
        HandlerError::Permanent { reason, message } => {
            HandlerError::Permanent { reason, message: call.without_numbers(&message) }
        }
    }
}
