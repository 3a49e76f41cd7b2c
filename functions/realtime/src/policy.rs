//! The policy for calls: its rules, and the action that it decides on for a call.

mod parse;
pub(crate) mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use hooks_openai::CallApi;
use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::call::{self, Call};

/// A valid policy.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The API whose calls are answered. A call's event of the other API is ignored.
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

/// A condition on one header.
#[derive(Debug)]
struct Condition {
    header: String,
    /// Whether the condition is on the user part of the header's URI instead of the whole value.
    user: bool,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Exact(String),
    Prefix(String),
    Regex(Regex),
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Accept { model: String, session: Map<String, Value> },
    Reject { status_code: u16 },
    Refer { target_uri: String },
}

/// The decision of the policy for a call.
pub(crate) struct Decision<'a> {
    /// The index of the rule in the list; `None` when the default applies.
    pub(crate) rule: Option<usize>,
    pub(crate) name: Option<&'a str>,
    pub(crate) action: &'a Action,
}

impl Policy {
    /// The action of the first rule whose conditions all match, or else the default.
    pub(crate) fn decide(&self, call: &Call<'_>) -> Decision<'_> {
        let found =
            self.rules.iter().enumerate().find(|(_, rule)| rule.when.iter().all(|condition| condition.matches(call)));
        match found {
            Some((index, rule)) => Decision { rule: Some(index), name: rule.name.as_deref(), action: &rule.then },
            None => Decision { rule: None, name: None, action: &self.default },
        }
    }
}

impl Condition {
    fn matches(&self, call: &Call<'_>) -> bool {
        let value = call.header(&self.header).map(str::trim);
        let value = if self.user { value.and_then(call::user) } else { value.map(Cow::Borrowed) };
        value.is_some_and(|value| match &self.matcher {
            Matcher::Exact(text) => value == *text,
            Matcher::Prefix(text) => value.starts_with(text),
            Matcher::Regex(regex) => regex.is_match(&value),
        })
    }
}
