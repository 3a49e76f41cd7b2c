//! Plays runs: `simulate consumers SEEDS` the first so many, `simulate consumers FIRST SEEDS` so many from one on,
//! `simulate consumers --seed SEED` one of them step by step; `simulate calls` those of a live session.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use simulation::Play;

/// How many runs one process plays. The SDK keeps something of every client for ever, about 10 KB of a run.
const MOST: u64 = 20_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [play, rest @ ..] => match (named(play), rest) {
            (Some(play), ["--seed", seed]) => seed.parse().map_or_else(|_| usage(), |seed| one(play, seed)),
            (Some(play), [seeds]) => seeds.parse().map_or_else(|_| usage(), |seeds| all(play, 0, seeds)),
            (Some(play), [first, seeds]) => {
                first.parse().ok().zip(seeds.parse().ok()).map_or_else(usage, |(first, seeds)| all(play, first, seeds))
            }
            _ => usage(),
        },
        [] => usage(),
    }
}

const PLAYS: [(&str, Play); 2] = [("consumers", Play::Consumers), ("calls", Play::Calls)];

fn named(text: &str) -> Option<Play> {
    PLAYS.iter().find(|(name, _)| *name == text).map(|(_, play)| *play)
}

fn name(play: Play) -> &'static str {
    PLAYS.iter().find(|(_, known)| *known == play).map_or("", |(name, _)| name)
}

fn usage() -> ExitCode {
    say("Usage: simulate consumers|calls [FIRST] SEEDS | simulate consumers|calls --seed SEED\n");
    ExitCode::from(2)
}

fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Plays one run, step by step.
fn one(play: Play, seed: u64) -> ExitCode {
    let run = simulation::run(play, seed, true);
    match run.violation {
        None => {
            say(&format!("Seed {seed}: all is well after {} requests.\n", run.requests));
            ExitCode::SUCCESS
        }
        Some(violation) => {
            say(&format!("Seed {seed}: {violation}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Plays runs, until one fails.
fn all(play: Play, first: u64, seeds: u64) -> ExitCode {
    let end = first + seeds;
    if seeds <= MOST {
        return part(play, first, end);
    }
    let mut from = first;
    while from < end {
        let count = MOST.min(end - from);
        let program = std::env::current_exe().unwrap_or_else(|_| "simulate".into());
        let played = Command::new(program).args([name(play), &from.to_string(), &count.to_string()]).status();
        if !played.is_ok_and(|status| status.success()) {
            return ExitCode::FAILURE;
        }
        from += count;
    }
    say(&format!("All is well in {seeds} runs.\n"));
    ExitCode::SUCCESS
}

/// Plays runs on every core, until one fails.
fn part(play: Play, first: u64, end: u64) -> ExitCode {
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let totals = Mutex::new((0_u64, BTreeMap::<&str, u64>::new()));
    let failures = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let run = simulation::run(play, seed, false);
            if let Some(violation) = run.violation {
                failed.store(true, Ordering::Relaxed);
                failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((seed, violation));
            }
            let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            totals.0 += run.requests;
            for (what, count) in run.counts {
                *totals.1.entry(what).or_default() += count;
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut told = Instant::now();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                let next = next.load(Ordering::Relaxed).min(end);
                say(&format!("up to seed {next} of {end} after {} s\n", began.elapsed().as_secs()));
            }
        }
    });
    let done = next.load(Ordering::Relaxed).min(end) - first;
    let seconds = began.elapsed().as_secs_f64();
    let (requests, counts) = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    say(&format!("{done} seeds in {seconds:.1} s on {cores} cores, {requests} requests: {}\n", counts.join(", ")));
    let mut failures = failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failures.sort_unstable();
    for (seed, violation) in &failures {
        say(&format!("Seed {seed} fails: {violation}\nStep by step: make simulate OF={} SEED={seed}\n", name(play)));
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
