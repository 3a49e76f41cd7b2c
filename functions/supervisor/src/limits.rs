//! Limits of a session: its duration, silence, cost.

use hooks_policy::Limits;

/// What a limit asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LimitAction {
    /// The caller is asked whether somebody is there.
    Warn(String),
    /// The call is ended for this reason.
    End(&'static str),
}

/// State of the limits. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub(crate) struct LimitState {
    limits: Limits,
    began_at: i64,
    active_at: i64,
    warned: bool,
}

impl LimitState {
    /// Of a session that began at `began_at`, in which something was heard at `active_at`.
    pub(crate) fn new(limits: Limits, began_at: i64, active_at: i64, warned: bool) -> Self {
        Self { limits, began_at, active_at, warned }
    }

    /// Notes that the caller said or entered something.
    pub(crate) fn caller_active(&mut self, now: i64) {
        (self.active_at, self.warned) = (now, false);
    }

    /// Notes that the model said something, which may be the warning.
    pub(crate) fn model_active(&mut self, now: i64) {
        self.active_at = now;
    }

    pub(crate) fn active_at(&self) -> i64 {
        self.active_at
    }

    pub(crate) fn warned(&self) -> bool {
        self.warned
    }

    /// What is to be done at this moment, with this cost so far.
    pub(crate) fn check(&mut self, now: i64, cost_usd: f64) -> Option<LimitAction> {
        let since = |from: i64| u64::try_from(now.saturating_sub(from) / 1000).unwrap_or(0);
        if since(self.began_at) >= self.limits.max_duration_seconds.into() {
            return Some(LimitAction::End("maximum_duration"));
        }
        if self.limits.cost_usd.is_some_and(|most| cost_usd >= most) {
            return Some(LimitAction::End("cost_limit"));
        }
        if self.limits.hours.as_ref().is_some_and(|hours| !hours.is_open(now / 1000)) {
            return Some(LimitAction::End("working_hours"));
        }
        if since(self.active_at) < self.limits.idle_seconds.into() {
            return None;
        }
        if self.warned {
            return Some(LimitAction::End("idle"));
        }
        // The answer has as long again.
        (self.active_at, self.warned) = (now, true);
        Some(LimitAction::Warn(self.limits.idle_warning.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_duration_seconds: 100,
            idle_seconds: 10,
            idle_warning: "Are you there?".to_owned(),
            cost_usd: Some(1.0),
            ..Limits::default()
        }
    }

    #[test]
    fn silence_is_asked_about_once_and_then_ends_the_call() {
        let mut state = LimitState::new(limits(), 0, 0, false);
        assert_eq!(state.check(9_999, 0.0), None);
        assert_eq!(state.check(10_000, 0.0), Some(LimitAction::Warn("Are you there?".to_owned())));
        assert_eq!(state.check(19_999, 0.0), None);
        assert_eq!(state.check(20_000, 0.0), Some(LimitAction::End("idle")));
    }

    #[test]
    fn a_word_begins_the_silence_anew() {
        let mut state = LimitState::new(limits(), 0, 0, false);
        assert!(matches!(state.check(10_000, 0.0), Some(LimitAction::Warn(_))));
        state.caller_active(15_000);
        assert_eq!(state.check(24_999, 0.0), None);
        assert!(matches!(state.check(25_000, 0.0), Some(LimitAction::Warn(_))));
    }

    #[test]
    fn the_warning_itself_is_no_answer() {
        let mut state = LimitState::new(limits(), 0, 0, false);
        assert!(matches!(state.check(10_000, 0.0), Some(LimitAction::Warn(_))));
        state.model_active(12_000);
        assert_eq!(state.check(21_999, 0.0), None);
        assert_eq!(state.check(22_000, 0.0), Some(LimitAction::End("idle")));
    }

    #[test]
    fn a_successor_goes_on_with_the_silence_of_its_predecessor() {
        let mut state = LimitState::new(limits(), 0, 12_000, true);
        assert_eq!(state.check(21_999, 0.0), None);
        assert_eq!(state.check(22_000, 0.0), Some(LimitAction::End("idle")));
    }

    #[test]
    fn duration_and_cost_end_the_call() {
        let mut state = LimitState::new(limits(), 0, 95_000, false);
        assert_eq!(state.check(99_999, 0.99), None);
        assert_eq!(state.check(99_999, 1.0), Some(LimitAction::End("cost_limit")));
        assert_eq!(state.check(100_000, 0.0), Some(LimitAction::End("maximum_duration")));
    }
}
