//! The parser of policies. `docs/call-policy.schema.json` has the same rules for editors; a test compares both.

mod supervise;

use hooks_webhook::{CallApi, Json};
use regex_lite::RegexBuilder;
use serde_json::{Map, Value};

use crate::address;
use crate::condition::{self, Condition, Matcher, State};
use crate::policy::{Action, Policy, Rule};
use crate::supervise::Supervise;

/// Version of policies that this parser knows. A policy without one is read as of this version.
const VERSION: u64 = 2;

/// Maximum number of rules.
const MAX_RULES: usize = 200;

/// Maximum number of conditions of a rule.
const MAX_CONDITIONS: usize = 10;

/// Maximum length of a name, in characters.
const MAX_NAME: usize = 100;

/// Maximum length of any other text, in characters.
const MAX_TEXT: usize = 1000;

/// Maximum length of a URI that a call is referred to, in characters.
const MAX_URI: usize = 500;

/// What such a URI must be.
const URI_RULE: &str = "must be a tel: or sip: URI of at most 500 ASCII characters, without spaces";

/// Maximum size of a compiled pattern, in bytes: nested repetitions grow fast.
const MAX_COMPILED: usize = 1 << 20;

/// Maximum number of mistakes that are reported. A policy of the maximum size could have more than an alert can hold.
const MAX_ERRORS: usize = 200;

/// The SIP status "decline", which is also OpenAI's default.
const DECLINE: u16 = 603;

/// Fields of a session that set the format of its audio.
const AUDIO_FORMATS: [&str; 5] =
    ["/audio/format", "/audio/input/format", "/audio/output/format", "/input_audio_format", "/output_audio_format"];

impl Policy {
    /// Parses a policy.
    ///
    /// # Errors
    ///
    /// All mistakes at once, each with its path: `rules[2].when[0].regex: ...`.
    pub fn parse(json: &[u8]) -> Result<Self, Vec<String>> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| vec![format!("it is not JSON (line {}, column {})", error.line(), error.column())])?;
        let mut parser = Parser::default();
        parser.repeated_names("", Json::of(json));
        let policy = parser.policy(&value);
        let Parser { mut errors, warnings, .. } = parser;
        match policy {
            Some(policy) if errors.is_empty() => Ok(Self { warnings, ..policy }),
            _ => {
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
    warnings: Vec<String>,
    answer_as: Option<CallApi>,
}

impl Parser {
    fn error<T>(&mut self, path: &str, error: impl AsRef<str>) -> Option<T> {
        let path = if path.is_empty() { "the policy" } else { path };
        self.errors.push(format!("{path}: {}", error.as_ref()));
        None
    }

    fn warning(&mut self, path: &str, warning: &str) {
        let path = if path.is_empty() { "the policy" } else { path };
        self.warnings.push(format!("{path}: {warning}"));
    }

    /// Of two fields with one name only the last one would count, which the author cannot see.
    fn repeated_names(&mut self, path: &str, json: Json<'_>) {
        let mut names = Vec::new();
        for (name, value) in json.members() {
            let name = name.string().unwrap_or_default();
            if names.contains(&name) {
                self.error::<()>(path, format!("the field {} is there twice", hooks_text::for_display(&name)));
            }
            let below = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            self.repeated_names(&below, value);
            names.push(name);
        }
        for (index, item) in json.items().enumerate() {
            self.repeated_names(&format!("{path}[{index}]"), item);
        }
    }

    fn policy(&mut self, value: &Value) -> Option<Policy> {
        let known = ["version", "answer_as", "rules", "default", "description", "$schema"];
        let fields = self.object("", value, &known)?;
        match fields.get("version").map(Value::as_u64) {
            None | Some(Some(1..=VERSION)) => {}
            Some(Some(version @ 3..)) => self.warning(
                "version",
                &format!("{version} is newer than {VERSION}, the newest one that this release knows"),
            ),
            Some(_) => drop(self.error::<()>("version", format!("must be a number from 1 to {VERSION}"))),
        }
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
        Some(Policy { answer_as: self.answer_as?, warnings: Vec::new(), rules: rules?, default: default? })
    }

    fn rule(&mut self, path: &str, value: &Value) -> Option<Rule> {
        let fields = self.object(path, value, &["name", "description", "when", "then"])?;
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
        if let Some(hours) = value.get("hours") {
            let fields = self.object(path, value, &["hours", "is"])?;
            let hours = self.hours(&format!("{path}.hours"), hours);
            let open = match fields.get("is").and_then(Value::as_str) {
                Some("open") => Some(true),
                Some("closed") => Some(false),
                _ => self.error(&format!("{path}.is"), "must be \"open\" or \"closed\""),
            };
            return Some(Condition::Hours { hours: hours?, open: open? });
        }
        let fields = self.object(path, value, &["header", "part", "exact", "prefix", "regex", "is"])?;
        let header = match fields.get("header").and_then(Value::as_str) {
            Some(name) if is_header_name(name) => Some(name.to_owned()),
            _ => self.error(&format!("{path}.header"), "must be the name of a SIP header, such as From"),
        };
        let is_address = header.as_deref().is_some_and(condition::is_address);
        let user = match fields.get("part") {
            None => Some(false),
            Some(part) if part != "user" => {
                self.error(&format!("{path}.part"), "must be \"user\", the number in From or To")
            }
            Some(_) if header.is_some() && !is_address => {
                self.error(&format!("{path}.part"), "is only for the headers From and To")
            }
            Some(_) => Some(true),
        };
        let is_caller = header.as_deref().is_some_and(condition::is_caller);
        let matcher = self.matcher(path, fields, is_caller, user == Some(true));
        Some(Condition::Header { header: header?, user: user?, matcher: matcher? })
    }

    fn matcher(&mut self, path: &str, fields: &Map<String, Value>, caller: bool, user: bool) -> Option<Matcher> {
        let present: Vec<&str> =
            ["exact", "prefix", "regex", "is"].into_iter().filter(|name| fields.contains_key(*name)).collect();
        let [name] = present[..] else {
            return self.error(path, "must have exactly one of exact, prefix, regex and is");
        };
        let at = format!("{path}.{name}");
        if name == "is" {
            return match fields[name].as_str() {
                Some("present") => Some(Matcher::Is(State::Present)),
                Some("absent") if caller => {
                    self.error(&at, "must not be \"absent\": every call has a From, so a missing one is unreadable")
                }
                Some("absent") => Some(Matcher::Is(State::Absent)),
                Some("unreadable") => Some(Matcher::Is(State::Unreadable)),
                _ => self.error(&at, "must be \"present\", \"absent\" or \"unreadable\""),
            };
        }
        let text = self.text(&at, &fields[name], MAX_TEXT)?;
        let normal = |text: String| if user { address::normal(text.trim()) } else { text };
        match name {
            "exact" | "prefix" if user && text.contains('%') => {
                self.error(&at, "must be the number or name itself, without escapes such as %2B")
            }
            "exact" => Some(Matcher::Exact(normal(text))),
            "prefix" => Some(Matcher::Prefix(normal(text))),
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
        let fields = self.object(path, value, &["session", "supervise"])?;
        let supervise = match fields.get("supervise") {
            None => Some(None),
            Some(value) => self.supervise(&format!("{path}.supervise"), value, fields.get("session")).map(Some),
        };
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
        for pointer in AUDIO_FORMATS.into_iter().filter(|pointer| fields["session"].pointer(pointer).is_some()) {
            let why = "must be absent: the phone network sets the format of a call's audio, and with another one there is \
                       silence";
            self.error::<()>(&format!("{path}{}", pointer.replace('/', ".")), why);
        }
        if self.answer_as == Some(CallApi::Live)
            && supervise.as_ref().is_some_and(|it| it.as_ref().is_some_and(Supervise::has_tools))
            && !fields["session"].pointer("/delegation/responses").is_some_and(Value::is_object)
        {
            let why = "must be an object, such as {\"model\": \"gpt-6-luna\"}: supervise has tools, and a Live session calls \
                       tools through this backend alone";
            self.error::<()>(&format!("{path}.delegation.responses"), why);
        }
        Some(Action::Accept { model: model?.to_owned(), session: session.clone(), supervise: supervise?.map(Box::new) })
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
            _ => self.error(&format!("{path}.target_uri"), URI_RULE),
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
