//! Limits of a session: its duration, silence, cost.

use crate::settings::Limits;

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

    /// Notes that somebody said or entered something.
    pub(crate) fn active(&mut self, now: i64) {
        (self.active_at, self.warned) = (now, false);
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
        if self.limits.maximum_seconds.is_some_and(|most| since(self.began_at) >= most) {
            return Some(LimitAction::End("maximum_duration"));
        }
        if self.limits.cost_usd.is_some_and(|most| cost_usd >= most) {
            return Some(LimitAction::End("cost_limit"));
        }
        let most = self.limits.idle_seconds?;
        if since(self.active_at) < most {
            return None;
        }
        match &self.limits.idle_warning {
            Some(warning) if !self.warned => {
                let warning = warning.clone();
                // The answer has as long again.
                (self.active_at, self.warned) = (now, true);
                Some(LimitAction::Warn(warning))
            }
            _ => Some(LimitAction::End("idle")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            maximum_seconds: Some(100),
            idle_seconds: Some(10),
            idle_warning: Some("Are you there?".to_owned()),
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
        state.active(15_000);
        assert_eq!(state.check(24_999, 0.0), None);
        assert!(matches!(state.check(25_000, 0.0), Some(LimitAction::Warn(_))));
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

    #[test]
    fn without_limits_nothing_ends_a_call() {
        let mut state = LimitState::new(Limits::default(), 0, 0, false);
        assert_eq!(state.check(i64::MAX, f64::MAX), None);
    }

    #[test]
    fn without_a_warning_silence_ends_the_call_at_once() {
        let mut state = LimitState::new(Limits { idle_warning: None, ..limits() }, 0, 0, false);
        assert_eq!(state.check(10_000, 0.0), Some(LimitAction::End("idle")));
    }
}
