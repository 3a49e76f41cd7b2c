//! From JSON to a policy. `docs/call-policy.schema.json` says the same for editors; a test sees to it.

use hooks_openai::CallApi;
use regex_lite::RegexBuilder;
use serde_json::{Map, Value};

use super::{Action, Condition, Policy, Rule, Test};

/// More rules than a person keeps an eye on.
const MAX_RULES: usize = 200;

/// The most conditions of a rule.
const MAX_CONDITIONS: usize = 10;

/// The longest name of a rule and of a header, in characters.
const MAX_NAME: usize = 100;

/// The longest text that a header is compared with, and the longest pattern, in characters.
const MAX_TEXT: usize = 1000;

/// The longest address that a call is sent on to, in characters.
const MAX_URI: usize = 500;

/// What a pattern may grow to when it is compiled, in bytes: repetitions of repetitions grow fast.
const MAX_COMPILED: usize = 1 << 20;

/// Problems beyond these do not help whoever has to solve them.
const MAX_PROBLEMS: usize = 20;

/// "decline", as OpenAI has it.
const DECLINE: u16 = 603;

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// All problems at once, each with its place: `rules[2].when[0].regex: ...`.
    pub(crate) fn read(json: &[u8]) -> Result<Self, Vec<String>> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| vec![format!("it is not JSON (line {}, column {})", error.line(), error.column())])?;
        let mut reader = Reader::default();
        match (reader.policy(&value), reader.problems) {
            (Some(policy), problems) if problems.is_empty() => Ok(policy),
            (_, mut problems) => {
                if problems.len() > MAX_PROBLEMS {
                    let more = problems.len() - MAX_PROBLEMS;
                    problems.truncate(MAX_PROBLEMS);
                    problems.push(format!("and {more} more"));
                }
                Err(problems)
            }
        }
    }
}

/// Reads on after a problem, so that all are found.
#[derive(Default)]
struct Reader {
    problems: Vec<String>,
    answer_as: Option<CallApi>,
}

impl Reader {
    fn problem<T>(&mut self, path: &str, problem: impl AsRef<str>) -> Option<T> {
        let place = if path.is_empty() { "the policy" } else { path };
        self.problems.push(format!("{place}: {}", problem.as_ref()));
        None
    }

    fn policy(&mut self, value: &Value) -> Option<Policy> {
        let fields = self.object("", value, &["answer_as", "rules", "default"])?;
        self.answer_as = match fields.get("answer_as").and_then(Value::as_str) {
            Some("realtime") => Some(CallApi::Realtime),
            Some("live") => Some(CallApi::Live),
            _ => self.problem("answer_as", "must be \"realtime\" or \"live\""),
        };
        let rules = match fields.get("rules") {
            None => Some(Vec::new()),
            Some(rules) => self.list("rules", rules, 0, MAX_RULES, Self::rule),
        };
        let default = match fields.get("default") {
            Some(default) => self.action("default", default),
            None => self.problem("default", "is missing: it says what becomes of a call that no rule is for"),
        };
        Some(Policy { answer_as: self.answer_as?, rules: rules?, default: default? })
    }

    fn rule(&mut self, path: &str, value: &Value) -> Option<Rule> {
        let fields = self.object(path, value, &["name", "when", "then"])?;
        let name = match fields.get("name") {
            None => Some(None),
            Some(name) => self.text(&format!("{path}.name"), name, MAX_NAME).map(Some),
        };
        let at = format!("{path}.when");
        let when = match fields.get("when") {
            Some(when) => self.list(&at, when, 1, MAX_CONDITIONS, Self::condition),
            None => self.problem(&at, "is missing: what is for every call is the default"),
        };
        let at = format!("{path}.then");
        let then = match fields.get("then") {
            Some(then) => self.action(&at, then),
            None => self.problem(&at, "is missing: accept, reject or refer"),
        };
        Some(Rule { name: name?, when: when?, then: then? })
    }

    fn condition(&mut self, path: &str, value: &Value) -> Option<Condition> {
        let fields = self.object(path, value, &["header", "part", "exact", "prefix", "regex"])?;
        let header = match fields.get("header").and_then(Value::as_str) {
            Some(name) if is_header_name(name) => Some(name.to_owned()),
            _ => self.problem(&format!("{path}.header"), "must be the name of a SIP header, such as From"),
        };
        let addresses = header.as_deref().is_some_and(|name| ["from", "to"].contains(&&*name.to_ascii_lowercase()));
        let user = match fields.get("part") {
            None => Some(false),
            Some(part) if part != "user" => {
                self.problem(&format!("{path}.part"), "can only be \"user\", the number in From or To")
            }
            Some(_) if header.is_some() && !addresses => {
                self.problem(&format!("{path}.part"), "is for the headers From and To")
            }
            Some(_) => Some(true),
        };
        let test = self.test(path, fields);
        Some(Condition { header: header?, user: user?, test: test? })
    }

    fn test(&mut self, path: &str, fields: &Map<String, Value>) -> Option<Test> {
        let given: Vec<&str> =
            ["exact", "prefix", "regex"].into_iter().filter(|name| fields.contains_key(*name)).collect();
        let [name] = given[..] else {
            return self.problem(path, "must have one of exact, prefix and regex");
        };
        let at = format!("{path}.{name}");
        let text = self.text(&at, &fields[name], MAX_TEXT)?;
        match name {
            "exact" => Some(Test::Exact(text)),
            "prefix" => Some(Test::Prefix(text)),
            _ => match RegexBuilder::new(&text).size_limit(MAX_COMPILED).nest_limit(50).build() {
                Ok(regex) => Some(Test::Regex(regex)),
                Err(error) => self.problem(&at, format!("is no regular expression that can be used: {error}")),
            },
        }
    }

    fn action(&mut self, path: &str, value: &Value) -> Option<Action> {
        let fields = self.object(path, value, &["accept", "reject", "refer"])?;
        if fields.len() != 1 {
            return self.problem(path, "must have one of accept, reject and refer");
        }
        let (name, value) = fields.iter().next()?;
        let at = format!("{path}.{name}");
        match name.as_str() {
            "accept" => self.accept(&at, value),
            "reject" => self.reject(&at, value),
            _ => self.refer(&at, value),
        }
    }

    fn accept(&mut self, path: &str, value: &Value) -> Option<Action> {
        let fields = self.object(path, value, &["session"])?;
        let path = format!("{path}.session");
        let Some(session) = fields.get("session").and_then(Value::as_object) else {
            return self.problem(&path, "must be an object, the session's configuration");
        };
        let model = session.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
        if model.is_none() {
            self.problem::<()>(&format!("{path}.model"), "must be the name of a model");
        }
        if let (Some(kind), Some(api)) = (session.get("type"), self.answer_as)
            && kind != api.as_str()
        {
            self.problem::<()>(&format!("{path}.type"), format!("must be \"{api}\", as answer_as is, or be left out"));
        }
        Some(Action::Accept { model: model?.to_owned(), session: session.clone() })
    }

    fn reject(&mut self, path: &str, value: &Value) -> Option<Action> {
        let fields = self.object(path, value, &["status_code"])?;
        let status_code = match fields.get("status_code") {
            None => Some(DECLINE),
            Some(code) => {
                code.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| (300..700).contains(code))
            }
        };
        match status_code {
            Some(status_code) => Some(Action::Reject { status_code }),
            None => self.problem(&format!("{path}.status_code"), "must be a number from 300 to 699"),
        }
    }

    fn refer(&mut self, path: &str, value: &Value) -> Option<Action> {
        let fields = self.object(path, value, &["target_uri"])?;
        match fields.get("target_uri").and_then(Value::as_str) {
            Some(uri) if is_target(uri) => Some(Action::Refer { target_uri: uri.to_owned() }),
            _ => self.problem(
                &format!("{path}.target_uri"),
                format!("must be a tel: or sip: URI of at most {MAX_URI} ASCII characters, without spaces"),
            ),
        }
    }

    fn object<'a>(&mut self, path: &str, value: &'a Value, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let Some(fields) = value.as_object() else { return self.problem(path, "must be an object") };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let name = hooks_openai::for_display(name);
            self.problem::<()>(path, format!("the field {name} is unknown; there are {}", known.join(", ")));
        }
        Some(fields)
    }

    fn list<T>(
        &mut self,
        path: &str,
        value: &Value,
        least: usize,
        most: usize,
        mut entry: impl FnMut(&mut Self, &str, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        match value.as_array() {
            Some(entries) if (least..=most).contains(&entries.len()) => {
                let read: Vec<Option<T>> = entries
                    .iter()
                    .enumerate()
                    .map(|(at, value)| entry(self, &format!("{path}[{at}]"), value))
                    .collect();
                read.into_iter().collect()
            }
            _ => self.problem(path, format!("must be a list of {least} to {most} entries")),
        }
    }

    fn text(&mut self, path: &str, value: &Value, most: usize) -> Option<String> {
        match value.as_str() {
            Some(text) if (1..=most).contains(&text.chars().count()) => Some(text.to_owned()),
            _ => self.problem(path, format!("must be a text of 1 to {most} characters")),
        }
    }
}

/// A token, as RFC 3261 calls it (section 25.1).
fn is_header_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

fn is_target(uri: &str) -> bool {
    let rest = uri.strip_prefix("tel:").or_else(|| uri.strip_prefix("sip:"));
    rest.is_some_and(|rest| !rest.is_empty()) && uri.len() <= MAX_URI && uri.bytes().all(|byte| byte.is_ascii_graphic())
}
