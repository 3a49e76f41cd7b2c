//! The parser of policies. `docs/call-policy.schema.json` has the same rules for editors; a test compares both.

use hooks_webhook::CallApi;
use regex_lite::RegexBuilder;
use serde_json::{Map, Value};

use crate::policy::{Action, Condition, Matcher, Policy, Rule};

/// Maximum number of rules.
const MAX_RULES: usize = 200;

/// Maximum number of conditions of a rule.
const MAX_CONDITIONS: usize = 10;

/// Maximum length of a rule's name and of a header's name, in characters.
const MAX_NAME: usize = 100;

/// Maximum length of a text or pattern that a header is compared with, in characters.
const MAX_TEXT: usize = 1000;

/// Maximum length of a URI that a call is referred to, in characters.
const MAX_URI: usize = 500;

/// Maximum size of a compiled pattern, in bytes: nested repetitions grow fast.
const MAX_COMPILED: usize = 1 << 20;

/// Maximum number of errors that are reported.
const MAX_ERRORS: usize = 20;

/// The SIP status "decline", which is also OpenAI's default.
const DECLINE: u16 = 603;

impl Policy {
    /// Parses a policy.
    ///
    /// # Errors
    ///
    /// All errors at once, each with its path: `rules[2].when[0].regex: ...`.
    pub fn parse(json: &[u8]) -> Result<Self, Vec<String>> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| vec![format!("it is not JSON (line {}, column {})", error.line(), error.column())])?;
        let mut parser = Parser::default();
        match (parser.policy(&value), parser.errors) {
            (Some(policy), errors) if errors.is_empty() => Ok(policy),
            (_, mut errors) => {
                if errors.len() > MAX_ERRORS {
                    let more = errors.len() - MAX_ERRORS;
                    errors.truncate(MAX_ERRORS);
                    errors.push(format!("and {more} more"));
                }
                Err(errors)
            }
        }
    }
}

/// Continues after an error, to find all of them.
#[derive(Default)]
struct Parser {
    errors: Vec<String>,
    answer_as: Option<CallApi>,
}

impl Parser {
    fn error<T>(&mut self, path: &str, error: impl AsRef<str>) -> Option<T> {
        let path = if path.is_empty() { "the policy" } else { path };
        self.errors.push(format!("{path}: {}", error.as_ref()));
        None
    }

    fn policy(&mut self, value: &Value) -> Option<Policy> {
        let fields = self.object("", value, &["answer_as", "rules", "default"])?;
        self.answer_as = match fields.get("answer_as").and_then(Value::as_str) {
            Some("realtime") => Some(CallApi::Realtime),
            Some("live") => Some(CallApi::Live),
            _ => self.error("answer_as", "must be \"realtime\" or \"live\""),
        };
        let rules = match fields.get("rules") {
            None => Some(Vec::new()),
            Some(rules) => self.list("rules", rules, 0, MAX_RULES, Self::rule),
        };
        let default = match fields.get("default") {
            Some(default) => self.action("default", default),
            None => self.error("default", "is missing: it is the action for a call that matches no rule"),
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
            None => self.error(&at, "is missing: for an action on every call use default"),
        };
        let at = format!("{path}.then");
        let then = match fields.get("then") {
            Some(then) => self.action(&at, then),
            None => self.error(&at, "is missing: must be accept, reject or refer"),
        };
        Some(Rule { name: name?, when: when?, then: then? })
    }

    fn condition(&mut self, path: &str, value: &Value) -> Option<Condition> {
        let fields = self.object(path, value, &["header", "part", "exact", "prefix", "regex"])?;
        let header = match fields.get("header").and_then(Value::as_str) {
            Some(name) if is_header_name(name) => Some(name.to_owned()),
            _ => self.error(&format!("{path}.header"), "must be the name of a SIP header, such as From"),
        };
        let addresses = header.as_deref().is_some_and(|name| ["from", "to"].contains(&&*name.to_ascii_lowercase()));
        let user = match fields.get("part") {
            None => Some(false),
            Some(part) if part != "user" => {
                self.error(&format!("{path}.part"), "must be \"user\", the number in From or To")
            }
            Some(_) if header.is_some() && !addresses => {
                self.error(&format!("{path}.part"), "is only for the headers From and To")
            }
            Some(_) => Some(true),
        };
        let matcher = self.matcher(path, fields);
        Some(Condition { header: header?, user: user?, matcher: matcher? })
    }

    fn matcher(&mut self, path: &str, fields: &Map<String, Value>) -> Option<Matcher> {
        let present: Vec<&str> =
            ["exact", "prefix", "regex"].into_iter().filter(|name| fields.contains_key(*name)).collect();
        let [name] = present[..] else {
            return self.error(path, "must have exactly one of exact, prefix and regex");
        };
        let at = format!("{path}.{name}");
        let text = self.text(&at, &fields[name], MAX_TEXT)?;
        match name {
            "exact" => Some(Matcher::Exact(text)),
            "prefix" => Some(Matcher::Prefix(text)),
            _ => match RegexBuilder::new(&text).size_limit(MAX_COMPILED).nest_limit(50).build() {
                Ok(regex) => Some(Matcher::Regex(regex)),
                Err(error) => self.error(&at, format!("is not a valid regular expression: {error}")),
            },
        }
    }

    fn action(&mut self, path: &str, value: &Value) -> Option<Action> {
        let fields = self.object(path, value, &["accept", "reject", "refer"])?;
        if fields.len() != 1 {
            return self.error(path, "must have exactly one of accept, reject and refer");
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
            return self.error(&path, "must be an object: the configuration of the session");
        };
        let model = session.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
        if model.is_none() {
            self.error::<()>(&format!("{path}.model"), "must be the name of a model");
        }
        if let (Some(kind), Some(api)) = (session.get("type"), self.answer_as)
            && kind != api.as_str()
        {
            self.error::<()>(&format!("{path}.type"), format!("must be \"{api}\", like answer_as, or absent"));
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
            None => self.error(&format!("{path}.status_code"), "must be a number from 300 to 699"),
        }
    }

    fn refer(&mut self, path: &str, value: &Value) -> Option<Action> {
        let fields = self.object(path, value, &["target_uri"])?;
        match fields.get("target_uri").and_then(Value::as_str) {
            Some(uri) if is_target_uri(uri) => Some(Action::Refer { target_uri: uri.to_owned() }),
            _ => self.error(
                &format!("{path}.target_uri"),
                format!("must be a tel: or sip: URI of at most {MAX_URI} ASCII characters, without spaces"),
            ),
        }
    }

    fn object<'a>(&mut self, path: &str, value: &'a Value, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let Some(fields) = value.as_object() else { return self.error(path, "must be an object") };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let name = hooks_text::for_display(name);
            self.error::<()>(path, format!("the field {name} is unknown; the fields are {}", known.join(", ")));
        }
        Some(fields)
    }

    fn list<T>(
        &mut self,
        path: &str,
        value: &Value,
        min: usize,
        max: usize,
        mut entry: impl FnMut(&mut Self, &str, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        match value.as_array() {
            Some(entries) if (min..=max).contains(&entries.len()) => {
                let read: Vec<Option<T>> = entries
                    .iter()
                    .enumerate()
                    .map(|(at, value)| entry(self, &format!("{path}[{at}]"), value))
                    .collect();
                read.into_iter().collect()
            }
            _ => self.error(path, format!("must be a list of {min} to {max} entries")),
        }
    }

    fn text(&mut self, path: &str, value: &Value, max: usize) -> Option<String> {
        match value.as_str() {
            Some(text) if (1..=max).contains(&text.chars().count()) => Some(text.to_owned()),
            _ => self.error(path, format!("must be a string of 1 to {max} characters")),
        }
    }
}

/// A token of RFC 3261 (section 25.1).
fn is_header_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

fn is_target_uri(uri: &str) -> bool {
    let rest = uri.strip_prefix("tel:").or_else(|| uri.strip_prefix("sip:"));
    rest.is_some_and(|rest| !rest.is_empty()) && uri.len() <= MAX_URI && uri.bytes().all(|byte| byte.is_ascii_graphic())
}
