//! The policy for calls: its rules, and the action that it decides on for a call.

use std::borrow::Cow;

use hooks_webhook::CallApi;
use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::call::{self, Call};

/// A valid policy.
#[derive(Debug)]
pub struct Policy {
    /// The API whose calls are answered. A call's event of the other API is ignored.
    pub answer_as: CallApi,
    pub(crate) rules: Vec<Rule>,
    pub(crate) default: Action,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Option<String>,
    pub(crate) when: Vec<Condition>,
    pub(crate) then: Action,
}

/// A condition on one header.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) header: String,
    /// Whether the condition is on the user part of the header's URI instead of the whole value.
    pub(crate) user: bool,
    pub(crate) matcher: Matcher,
}

#[derive(Debug)]
pub(crate) enum Matcher {
    Exact(String),
    Prefix(String),
    Regex(Regex),
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Accepts it with a session of this configuration.
    Accept {
        /// The session's model.
        model: String,
        /// The whole configuration.
        session: Map<String, Value>,
    },
    /// Rejects it.
    Reject {
        /// SIP status from 300 to 699.
        status_code: u16,
    },
    /// Transfers it.
    Refer {
        /// `tel:` or `sip:` URI.
        target_uri: String,
    },
}

/// The decision of the policy for a call.
pub struct Decision<'a> {
    /// The index of the rule in the list; `None` when the default applies.
    pub rule: Option<usize>,
    /// The rule's name.
    pub name: Option<&'a str>,
    /// The answer.
    pub action: &'a Action,
}

impl Policy {
    /// The action of the first rule whose conditions all match, or else the default.
    #[must_use]
    pub fn decide(&self, call: &Call<'_>) -> Decision<'_> {
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
