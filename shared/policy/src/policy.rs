//! The policy for calls: its rules, and the action that it decides on for a call.

use hooks_webhook::{CallApi, SipInvite};
use serde_json::{Map, Value};

use crate::condition::{Condition, Purpose, Verdict};
use crate::supervise::Supervise;

/// A valid policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The API whose calls are answered. A call's event of the other API is ignored.
    pub answer_as: CallApi,
    /// What was ignored in the text: fields of a newer version, or misspelt ones. Nothing here decides about a call.
    pub warnings: Vec<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) default: Action,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: Option<String>,
    pub(crate) when: Vec<Condition>,
    pub(crate) then: Action,
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
        /// How the session is supervised; `None`: it is not.
        supervise: Option<Box<Supervise>>,
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

impl Action {
    /// `accept`, `reject` or `refer`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accept { .. } => "accept",
            Self::Reject { .. } => "reject",
            Self::Refer { .. } => "refer",
        }
    }
}

/// The decision of the policy for a call.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The index of the rule in the list; `None` when the default applies.
    pub rule: Option<usize>,
    /// The rule's name.
    pub name: Option<&'a str>,
    /// The answer.
    pub action: &'a Action,
    /// Whether the rule rejects because a header could not be read.
    pub unreadable: bool,
}

impl Decision<'_> {
    /// The rule's place in the policy: `rules[2]` or `default`.
    #[must_use]
    pub fn place(&self) -> String {
        self.rule.map_or_else(|| "default".to_owned(), |index| format!("rules[{index}]"))
    }
}

/// The verdict of a rule on a call.
#[derive(Clone, Debug)]
pub struct RuleVerdict<'a> {
    /// The rule's name.
    pub name: Option<&'a str>,
    /// The rule's answer.
    pub action: &'a Action,
    /// Whether the rule would decide. The first one that would does.
    pub decides: bool,
    /// The verdict of each condition.
    pub conditions: Vec<ConditionVerdict>,
}

/// The verdict of a condition on a call, for a person.
#[derive(Clone, Debug)]
pub struct ConditionVerdict {
    /// The condition: `From (user part) begins with "+49"`.
    pub condition: String,
    /// The call's value, which its caller wrote; `None` when the call has none.
    pub value: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
}

impl Policy {
    /// The action of the first rule whose conditions all match, or else the default. `now` is the time of the call in
    /// Unix seconds.
    ///
    /// It fails closed: a header that cannot be read counts as a match where a rule rejects, and as a mismatch where it
    /// accepts or refers.
    #[must_use]
    pub fn decide(&self, invite: &SipInvite, now: i64) -> Decision<'_> {
        for (index, rule) in self.rules.iter().enumerate() {
            let mut unreadable = false;
            let decides = rule.when.iter().all(|condition| {
                let verdict = condition.verdict(invite, now, rule.purpose());
                unreadable |= matches!(verdict, Verdict::Unreadable(_));
                rule.holds(verdict)
            });
            if decides {
                return Decision { rule: Some(index), name: rule.name.as_deref(), action: &rule.then, unreadable };
            }
        }
        Decision { rule: None, name: None, action: &self.default, unreadable: false }
    }

    /// The verdict of every rule on a call, with those of its conditions.
    #[must_use]
    pub fn explain(&self, invite: &SipInvite, now: i64) -> Vec<RuleVerdict<'_>> {
        let explain = |rule| explain(rule, invite, now);
        self.rules.iter().map(explain).collect()
    }

    /// The answers of all rules and the default, with their places: `rules[0].then`.
    pub fn actions(&self) -> impl Iterator<Item = (String, &Action)> {
        let rules = self.rules.iter().enumerate().map(|(index, rule)| (format!("rules[{index}].then"), &rule.then));
        rules.chain([("default".to_owned(), &self.default)])
    }
}

fn explain<'a>(rule: &'a Rule, invite: &SipInvite, now: i64) -> RuleVerdict<'a> {
    let conditions = rule.when.iter().map(|condition| ConditionVerdict {
        condition: condition.to_string(),
        value: condition.value(invite),
        verdict: condition.verdict(invite, now, rule.purpose()),
    });
    let conditions: Vec<_> = conditions.collect();
    let decides = conditions.iter().all(|condition| rule.holds(condition.verdict));
    RuleVerdict { name: rule.name.as_deref(), action: &rule.then, decides, conditions }
}

impl Rule {
    const fn purpose(&self) -> Purpose {
        match self.then {
            Action::Reject { .. } => Purpose::Refuse,
            Action::Accept { .. } | Action::Refer { .. } => Purpose::Grant,
        }
    }

    fn holds(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Matches => true,
            Verdict::Differs => false,
            Verdict::Unreadable(_) => self.purpose() == Purpose::Refuse,
        }
    }
}
