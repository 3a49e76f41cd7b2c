//! What the seed decides.

use std::time::Duration;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The answer takes seconds.
    Slow,
    /// The request takes effect, its answer gets lost.
    Lost,
    /// The request never arrives.
    Unsent,
    /// The request takes effect long after its sender gave it up.
    Late,
    /// The service answers 500 without an effect.
    ServerError,
    /// The service answers 500 after the effect.
    ErrorAfter,
    /// The service wants to be asked less often.
    Throttle,
    /// The service answers 200 and refuses the entry in it (`EventBridge`).
    RefusedEntry,
    /// OpenAI refuses the request for good.
    Refused,
    /// The process dies before the request takes effect.
    CrashBefore,
    /// The process dies after the request took effect.
    CrashAfter,
    /// The service is out of reach for a while, for everybody.
    Outage,
    /// A message is received twice.
    Copy,
    /// The queue does not hear that a message was deleted.
    Undeleted,
}

const TROUBLES: usize = Trouble::Undeleted as usize + 1;

/// The choices of one seed. Each has some kinds of trouble, each as often as it wants, so that rare ones meet.
pub(crate) struct Chance {
    random: fastrand::Rng,
    /// In thousandths.
    rates: [u32; TROUBLES],
    pub(crate) calm: bool,
}

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let rates = std::array::from_fn(|_| [0, 0, 0, 5, 20, 60, 150][random.usize(..7)]);
        Self { random, rates, calm: false }
    }

    /// Leaves no trouble but deaths.
    pub(crate) fn kills_alone(&mut self) {
        for (trouble, rate) in self.rates.iter_mut().enumerate() {
            if trouble != Trouble::CrashBefore as usize && trouble != Trouble::CrashAfter as usize {
                *rate = 0;
            }
        }
    }

    /// Whether this trouble comes now.
    pub(crate) fn has(&mut self, trouble: Trouble) -> bool {
        !self.calm && self.random.u32(..1000) < self.rates[trouble as usize]
    }

    pub(crate) fn one_in(&mut self, count: u32) -> bool {
        self.random.u32(..count) == 0
    }

    pub(crate) fn up_to(&mut self, count: usize) -> usize {
        self.random.usize(..=count)
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(..choices.len())]
    }

    /// A time between two, in milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..=to))
    }

    /// A time up to this one. Short ones are as likely as long ones are.
    pub(crate) fn within(&mut self, longest: Duration) -> Duration {
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
        let order = self.random.u32(..=longest.ilog2());
        Duration::from_millis(self.random.u64(..=longest >> order))
    }
}
