//! When a refused delivery is tried again.

use std::time::Duration;

/// OpenAI tries for so long, with exponential backoff. The steps in between are not published; these are ours.
const GIVE_UP_AFTER: Duration = Duration::from_hours(72);

const FIRST_DELAY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub(super) struct Retries {
    factor: f64,
}

impl Retries {
    pub(super) fn shortened_by(factor: f64) -> Self {
        Self { factor }
    }

    /// The delays before the second attempt, the third, and so on.
    pub(super) fn delays(self) -> impl Iterator<Item = Duration> + Send {
        let doubled = std::iter::successors(Some(FIRST_DELAY), |delay| delay.checked_mul(2));
        let mut waited = Duration::ZERO;
        doubled
            .take_while(move |delay| {
                waited += *delay;
                waited <= GIVE_UP_AFTER
            })
            .map(move |delay| delay.mul_f64(self.factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_end_within_72_hours() {
        let delays: Vec<Duration> = Retries::shortened_by(1.0).delays().collect();
        assert!(delays.windows(2).all(|pair| pair[1] == pair[0] * 2));
        let total: Duration = delays.iter().sum();
        assert!(total <= GIVE_UP_AFTER && total + delays[delays.len() - 1] * 2 > GIVE_UP_AFTER);
    }

    #[test]
    fn the_factor_shortens_every_delay_and_drops_none() {
        let (full, short) = (Retries::shortened_by(1.0), Retries::shortened_by(0.001));
        assert_eq!(full.delays().count(), short.delays().count());
        assert_eq!(short.delays().next(), Some(Duration::from_millis(5)));
    }
}
