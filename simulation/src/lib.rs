//! Deterministic simulation of the consumers, and of the supervisors of a live session.
//!
//! A run of the consumers is the real harness, the real handler of one category and the real code of the ledger, several processes of
//! it at once, against services that are played in this process. It is a function of its seed: the time is tokio's
//! paused clock, and every request is a choice of the seed, which may answer, wait, lose the answer, fail before or after
//! the effect, let it take effect minutes later, throttle, refuse, be out of reach for a while, or let the process die.
//! Beside that, OpenAI delivers again, reconciliation copies, and a person redrives and replays at random times.
//!
//! A run of a call is the real supervisor as Lambda runs it, with its watchdog, its tools and its sideband over a real
//! WebSocket. It is killed between any two moments, handed over while it works, cut off, and refused a second connection.
//!
//! | module | plays |
//! |---|---|
//! | `chance` | the seed's choices |
//! | `clock` | the clock of each process |
//! | `network` | the ways to AWS and to OpenAI, with their failures |
//! | `world` | what outlives a process, the queue as Lambda polls it, and the fate of each request |
//! | `services`, `dynamodb`, `sqs`, `openai` | AWS and OpenAI, as far as the consumers ask them |
//! | `consumer` | Lambda around the function |
//! | `people` | OpenAI's deliveries, reconciliation, and a person |
//! | `checks` | what must hold, at every step and at rest |
//! | `calls` | a live session: its script, the invocations of its supervisors, and what must hold of it |

mod calls;
mod chance;
mod checks;
mod clock;
mod consumer;
mod dynamodb;
mod network;
mod openai;
mod people;
mod services;
mod sqs;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// What became of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What must not be and was.
    pub violation: Option<String>,
    /// Requests to all services.
    pub requests: u64,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// A hash of every step.
    pub digest: u64,
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Lets every panic be known, also those that the harness catches.
fn watch_panics() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let show = take_hook();
        set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            show(panic);
        }));
    });
    PANICKED.set(false);
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// The consumers of events.
    Consumers,
    /// The supervisors of a live session.
    Calls,
}

/// Plays the run of a seed. With `show`, every step is written to standard error.
#[must_use]
pub fn run(play: Play, seed: u64, show: bool) -> Run {
    watch_panics();
    // The SDK's pauses, the harness's pauses and the tokens come from here.
    fastrand::seed(seed);
    let played = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.map(|runtime| match play {
            Play::Consumers => runtime.block_on(people::play(seed, show)),
            Play::Calls => runtime.block_on(calls::play(seed, show)),
        })
    }));
    match played {
        Ok(Ok(run)) if !PANICKED.get() => run,
        Ok(Err(error)) => Run { violation: Some(format!("there is no runtime: {error}")), ..Run::default() },
        _ => Run { violation: Some("a panic".to_owned()), ..Run::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_function_of_its_seed() {
        for (play, seeds) in [(Play::Consumers, 40), (Play::Calls, 25)] {
            for seed in 0..seeds {
                let first = run(play, seed, false);
                assert_eq!(first, run(play, seed, false), "{play:?}, seed {seed}");
                assert_eq!(first.violation, None, "{play:?}, seed {seed}");
            }
        }
    }
}
