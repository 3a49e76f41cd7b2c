//! How calls are answered: what the policy says, and which of its actions a call gets.

mod read;
pub(crate) mod source;
#[cfg(test)]
mod tests;

use hooks_openai::CallApi;
use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::call::{self, Call};

/// A policy that was read and found right.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The API whose calls are answered. A call that also waits for the other one is left alone there.
    pub(crate) answer_as: CallApi,
    rules: Vec<Rule>,
    default: Action,
}

#[derive(Debug)]
struct Rule {
    name: Option<String>,
    when: Vec<Condition>,
    then: Action,
}

/// What must hold of one header.
#[derive(Debug)]
struct Condition {
    header: String,
    /// The user part of the header's URI instead of the whole value.
    user: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Exact(String),
    Prefix(String),
    Regex(Regex),
}

/// What is done with a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Accept { model: String, session: Map<String, Value> },
    Reject { status_code: u16 },
    Refer { target_uri: String },
}

/// What the policy says about a call.
pub(crate) struct Decision<'a> {
    /// The place of the rule in the list, from 0; none when the default applies.
    pub(crate) rule: Option<usize>,
    pub(crate) name: Option<&'a str>,
    pub(crate) action: &'a Action,
}

impl Policy {
    /// The action of the first rule whose conditions all hold, or else the default.
    pub(crate) fn decide(&self, call: &Call<'_>) -> Decision<'_> {
        let found = self.rules.iter().enumerate().find(|(_, rule)| rule.when.iter().all(|when| when.holds(call)));
        match found {
            Some((at, rule)) => Decision { rule: Some(at), name: rule.name.as_deref(), action: &rule.then },
            None => Decision { rule: None, name: None, action: &self.default },
        }
    }
}

impl Condition {
    fn holds(&self, call: &Call<'_>) -> bool {
        let value = call.header(&self.header).map(str::trim);
        let value = if self.user { value.and_then(call::user) } else { value };
        value.is_some_and(|value| match &self.test {
            Test::Exact(text) => value == text,
            Test::Prefix(text) => value.starts_with(text),
            Test::Regex(regex) => regex.is_match(value),
        })
    }
}
