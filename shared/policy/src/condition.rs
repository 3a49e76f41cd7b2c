//! Conditions of rules, with three verdicts: what cannot be read is neither a match nor a mismatch.

use std::borrow::Cow;
use std::fmt;

use hooks_webhook::{MAX_SIP_VALUE, SipInvite};
use regex_lite::Regex;

use crate::address::{self, Unreadable};
use crate::hours::Hours;

/// Maximum length of a user part in bytes. A longer one is unreadable: no number is as long.
const MAX_USER: usize = 256;

/// A condition of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// On the values of one header.
    Header {
        header: String,
        /// Whether it is on the user part of the header's address instead of the whole value.
        user: bool,
        matcher: Matcher,
    },
    /// On the time of the call.
    Hours { hours: Hours, open: bool },
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    Exact(String),
    Prefix(String),
    Regex(Regex),
    Is(State),
}

/// A state of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Present,
    Absent,
    Unreadable,
}

/// What the condition is needed for, which decides about headers that are there more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To accept or refer a call: every value has to match.
    Grant,
    /// To reject it: one value that matches is enough.
    Refuse,
}

/// The verdict of a condition on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It matches.
    Matches,
    /// It does not match.
    Differs,
    /// The value cannot be read. A rule that rejects takes it for a match, and one that accepts or refers for a mismatch.
    Unreadable(Unreadable),
}

impl Verdict {
    fn of(matches: bool) -> Self {
        if matches { Self::Matches } else { Self::Differs }
    }
}

impl Condition {
    pub(crate) fn verdict(&self, invite: &SipInvite, now: i64, purpose: Purpose) -> Verdict {
        let (header, user, matcher) = match self {
            Self::Hours { hours, open } => return Verdict::of(hours.is_open(now) == *open),
            Self::Header { header, user, matcher } => (header, *user, matcher),
        };
        let mut values = invite.values(header).peekable();
        if values.peek().is_none() {
            return without_value(header, matcher, invite.is_complete(header));
        }
        let mut verdict = None;
        for value in values.map(|value| matcher.verdict(value, user)) {
            let so_far = verdict.unwrap_or(value);
            verdict = Some(match purpose {
                Purpose::Refuse => strongest(so_far, value),
                Purpose::Grant => weakest(so_far, value),
            });
        }
        let verdict = verdict.unwrap_or(Verdict::Differs);
        if invite.is_complete(header) {
            return verdict;
        }
        let left_out = Verdict::Unreadable(Unreadable("there are more headers than are read"));
        match purpose {
            Purpose::Refuse => strongest(verdict, left_out),
            Purpose::Grant => weakest(verdict, left_out),
        }
    }

    /// The value that the condition is compared with, for a person.
    pub(crate) fn value(&self, invite: &SipInvite) -> Option<String> {
        let Self::Header { header, user, .. } = self else { return None };
        let values: Vec<_> =
            invite.values(header).flatten().map(|value| read(value, *user).map(Cow::into_owned)).collect();
        let shown = values.iter().map(|value| value.as_deref().unwrap_or("unreadable").to_owned());
        (!values.is_empty()).then(|| shown.collect::<Vec<_>>().join(" and "))
    }
}

/// The verdict for a header that is not there. Every call has a caller, so a missing `From` is unreadable, never absent.
fn without_value(header: &str, matcher: &Matcher, is_complete: bool) -> Verdict {
    let why = if is_caller(header) {
        Unreadable("the header is missing, although every call has one")
    } else if is_complete {
        return Verdict::of(matches!(matcher, Matcher::Is(State::Absent)));
    } else {
        Unreadable("there are more headers than are read")
    };
    match matcher {
        Matcher::Is(State::Unreadable) => Verdict::Matches,
        _ => Verdict::Unreadable(why),
    }
}

pub(crate) fn is_caller(header: &str) -> bool {
    ["from", "f"].contains(&header.to_ascii_lowercase().as_str())
}

pub(crate) fn is_address(header: &str) -> bool {
    is_caller(header) || ["to", "t"].contains(&header.to_ascii_lowercase().as_str())
}

fn strongest(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Matches, _) | (_, Verdict::Matches) => Verdict::Matches,
        (Verdict::Unreadable(why), _) | (_, Verdict::Unreadable(why)) => Verdict::Unreadable(why),
        _ => Verdict::Differs,
    }
}

fn weakest(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Differs, _) | (_, Verdict::Differs) => Verdict::Differs,
        (Verdict::Unreadable(why), _) | (_, Verdict::Unreadable(why)) => Verdict::Unreadable(why),
        _ => Verdict::Matches,
    }
}

impl Matcher {
    /// The verdict on one value; `None` for a value that could not be kept.
    fn verdict(&self, value: Option<&str>, user: bool) -> Verdict {
        let read = value.ok_or(Unreadable("the value is too long or not text")).and_then(|value| read(value, user));
        match (self, &read) {
            (Self::Is(State::Present), _) => Verdict::Matches,
            (Self::Is(State::Absent), _) => Verdict::Differs,
            (Self::Is(State::Unreadable), read) => {
                Verdict::of(read.as_ref().map_or(true, |text| text.contains(char::REPLACEMENT_CHARACTER)))
            }
            (_, Err(why)) => Verdict::Unreadable(*why),
            (_, Ok(text)) if self.matches(text) => Verdict::Matches,
            (_, Ok(text)) if text.contains(char::REPLACEMENT_CHARACTER) => {
                Verdict::Unreadable(Unreadable("the value has bytes that are not UTF-8"))
            }
            _ => Verdict::Differs,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Regex(regex) => regex.is_match(text),
            Self::Is(_) => false,
        }
    }
}

/// The text that a condition is compared with.
fn read(value: &str, user: bool) -> Result<Cow<'_, str>, Unreadable> {
    if user {
        let user = address::user(value)?;
        return if user.len() <= MAX_USER { Ok(user.into()) } else { Err(Unreadable("the user part is too long")) };
    }
    let value = value.trim();
    if value.len() <= MAX_SIP_VALUE { Ok(value.into()) } else { Err(Unreadable("the value is too long")) }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours { hours, open } => {
                write!(f, "the time in {} is {}", hours.zone, if *open { "open" } else { "closed" })
            }
            Self::Header { header, user, matcher } => {
                let part = if *user { " (user part)" } else { "" };
                match matcher {
                    Matcher::Exact(text) => write!(f, "{header}{part} is {text:?}"),
                    Matcher::Prefix(text) => write!(f, "{header}{part} begins with {text:?}"),
                    Matcher::Regex(regex) => write!(f, "{header}{part} matches {:?}", regex.as_str()),
                    Matcher::Is(state) => {
                        let state = match state {
                            State::Present => "present",
                            State::Absent => "absent",
                            State::Unreadable => "unreadable",
                        };
                        write!(f, "{header}{part} is {state}")
                    }
                }
            }
        }
    }
}
