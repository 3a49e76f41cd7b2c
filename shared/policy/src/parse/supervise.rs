//! The parser of `supervise`.
//!
//! What decides who gets in is read strictly. Here a session that got in is shaped, so an unknown field is a warning: a
//! policy for a newer version goes on working.

use serde_json::{Map, Value};

use super::{MAX_NAME, MAX_TEXT, Parser, is_target_uri};
use crate::hours::{self, DAYS, Hours, Opening};
use crate::supervise::{BuiltIn, Fallback, Limits, LookUp, Supervise, Tool, ToolTarget, Transfer, TransferTarget};

/// Maximum number of tools. Every tool is a part of every request to the model.
const MAX_TOOLS: usize = 32;

/// Maximum length of a tool's parameters in bytes of JSON.
const MAX_PARAMETERS: usize = 16 * 1024;

/// Maximum number of targets of a transfer.
const MAX_TARGETS: usize = 32;

/// Maximum number of openings.
const MAX_OPENINGS: usize = 32;

impl Parser {
    pub(super) fn supervise(&mut self, path: &str, value: &Value, session: Option<&Value>) -> Option<Supervise> {
        let known = ["greeting", "tools", "built_in", "look_up", "transfer", "limits"];
        let fields = self.tolerant(path, value, &known)?;
        let greeting = self.optional(path, fields, "greeting", |parser, at, value| parser.text(at, value, MAX_TEXT));
        let tools = match fields.get("tools") {
            None => Some(Vec::new()),
            Some(tools) => self.list(&format!("{path}.tools"), tools, 0, MAX_TOOLS, Self::tool),
        };
        let built_in = match fields.get("built_in") {
            None => Some(Vec::new()),
            Some(tools) => self.list(&format!("{path}.built_in"), tools, 0, BuiltIn::ALL.len(), Self::built_in),
        };
        let look_up = self.optional(path, fields, "look_up", Self::look_up);
        let transfer = self.optional(path, fields, "transfer", Self::transfer);
        let limits = self.optional(path, fields, "limits", Self::limits);
        let supervise = Supervise {
            greeting: greeting?,
            tools: tools?,
            built_in: built_in?,
            look_up: look_up?,
            transfer: transfer?,
            limits: limits?.unwrap_or_default(),
        };
        self.fits_together(path, &supervise, session);
        Some(supervise)
    }

    /// Tools have names of their own, and built-in tools their settings.
    fn fits_together(&mut self, path: &str, supervise: &Supervise, session: Option<&Value>) {
        let own = session.and_then(|session| session.get("tools")).and_then(Value::as_array);
        let mut names: Vec<&str> = own.into_iter().flatten().filter_map(|tool| tool.get("name")?.as_str()).collect();
        names.extend(BuiltIn::ALL.map(BuiltIn::as_str));
        for (index, tool) in supervise.tools.iter().enumerate() {
            if names.contains(&tool.name.as_str()) {
                let at = format!("{path}.tools[{index}].name");
                self.error::<()>(&at, "is the name of another tool: of the session, of this list, or a built-in one");
            }
            names.push(&tool.name);
        }
        for (index, tool) in supervise.built_in.iter().enumerate() {
            if supervise.built_in[..index].contains(tool) {
                self.error::<()>(&format!("{path}.built_in[{index}]"), "is there twice");
            }
        }
        let needs = [
            (BuiltIn::LookUp, supervise.look_up.is_some(), "the table and its key"),
            (BuiltIn::Transfer, supervise.transfer.is_some(), "the targets"),
        ];
        for (tool, is_set, what) in needs {
            let (name, is_used) = (tool.as_str(), supervise.built_in.contains(&tool));
            if is_used && !is_set {
                self.error::<()>(&format!("{path}.{name}"), format!("is missing: {what} of the built-in tool {name}"));
            } else if is_set && !is_used {
                self.warning(&format!("{path}.{name}"), &format!("is not used: built_in does not have {name}"));
            }
        }
    }

    fn tool(&mut self, path: &str, value: &Value) -> Option<Tool> {
        let known = ["name", "description", "parameters", "lambda", "url", "timeout_seconds", "retries", "while_slow"];
        let fields = self.tolerant(path, value, &known)?;
        let name = match fields.get("name").and_then(Value::as_str) {
            Some(name) if is_tool_name(name) => Some(name.to_owned()),
            _ => self.error(&format!("{path}.name"), "must be 1 to 64 letters, digits, underscores and hyphens"),
        };
        let description =
            self.optional(path, fields, "description", |parser, at, value| parser.text(at, value, MAX_TEXT));
        let parameters = self.optional(path, fields, "parameters", Self::parameters);
        let target = self.target(path, fields);
        let timeout =
            self.optional(path, fields, "timeout_seconds", |parser, at, value| parser.number(at, value, 1, 60));
        let retries = self.optional(path, fields, "retries", |parser, at, value| parser.number(at, value, 0, 3));
        let slow = self.optional(path, fields, "while_slow", |parser, at, value| parser.text(at, value, MAX_TEXT));
        let mut tool = Tool::new(name?, target?);
        tool.description = description?.unwrap_or_default();
        tool.parameters = parameters?.unwrap_or(tool.parameters);
        tool.timeout_seconds = timeout?.unwrap_or(tool.timeout_seconds);
        tool.retries = retries?.unwrap_or_default();
        tool.while_slow = slow?.unwrap_or(tool.while_slow);
        Some(tool)
    }

    fn target(&mut self, path: &str, fields: &Map<String, Value>) -> Option<ToolTarget> {
        match (fields.get("lambda"), fields.get("url")) {
            (Some(arn), None) => match arn.as_str().filter(|arn| is_function_arn(arn)) {
                Some(arn) => Some(ToolTarget::Lambda(arn.to_owned())),
                None => self.error(
                    &format!("{path}.lambda"),
                    "must be the ARN of a Lambda function: arn:aws:lambda:REGION:ACCOUNT:function:NAME",
                ),
            },
            (None, Some(url)) => match url.as_str().filter(|url| is_https(url)) {
                Some(url) => Some(ToolTarget::Url(url.to_owned())),
                None => self.error(&format!("{path}.url"), "must be an https:// URL of at most 1000 characters"),
            },
            _ => self.error(path, "must have exactly one of lambda and url"),
        }
    }

    fn parameters(&mut self, path: &str, value: &Value) -> Option<Map<String, Value>> {
        match value.as_object() {
            Some(schema) if schema.get("type").and_then(Value::as_str) != Some("object") => {
                self.error(path, "must be a JSON Schema with \"type\": \"object\"")
            }
            Some(schema) if value.to_string().len() <= MAX_PARAMETERS => Some(schema.clone()),
            Some(_) => self.error(path, format!("must have at most {MAX_PARAMETERS} bytes")),
            None => self.error(path, "must be a JSON Schema: an object"),
        }
    }

    fn built_in(&mut self, path: &str, value: &Value) -> Option<BuiltIn> {
        let found = BuiltIn::ALL.into_iter().find(|tool| value == tool.as_str());
        found.or_else(|| {
            let names = BuiltIn::ALL.map(BuiltIn::as_str).join(", ");
            self.error(path, format!("must be one of {names}"))
        })
    }

    fn look_up(&mut self, path: &str, value: &Value) -> Option<LookUp> {
        let fields = self.tolerant(path, value, &["table", "key"])?;
        let table = match fields.get("table").and_then(Value::as_str).filter(|name| is_table_name(name)) {
            Some(name) => Some(name.to_owned()),
            None => self.error(&format!("{path}.table"), "must be the name of a DynamoDB table"),
        };
        let key = match fields.get("key") {
            Some(key) => self.text(&format!("{path}.key"), key, 255),
            None => self.error(&format!("{path}.key"), "is missing: the name of the table's partition key"),
        };
        Some(LookUp { table: table?, key: key? })
    }

    fn transfer(&mut self, path: &str, value: &Value) -> Option<Transfer> {
        let fields = self.tolerant(path, value, &["targets", "confirm_seconds", "fallback"])?;
        let at = format!("{path}.targets");
        let targets = match fields.get("targets") {
            Some(targets) => self.list(&at, targets, 1, MAX_TARGETS, Self::transfer_target),
            None => self.error(&at, "is missing: where calls may be transferred to"),
        };
        let confirm =
            self.optional(path, fields, "confirm_seconds", |parser, at, value| parser.number(at, value, 2, 60));
        let fallback = self.optional(path, fields, "fallback", Self::fallback);
        let (targets, confirm, fallback) = (targets?, confirm?, fallback?);
        for (index, target) in targets.iter().enumerate() {
            if targets[..index].iter().any(|other| other.name == target.name) {
                self.error::<()>(&format!("{at}[{index}].name"), "is the name of another target");
            }
        }
        Some(Transfer {
            targets,
            confirm_seconds: confirm.unwrap_or(crate::supervise::default_confirm()),
            fallback: fallback.unwrap_or_default(),
        })
    }

    fn transfer_target(&mut self, path: &str, value: &Value) -> Option<TransferTarget> {
        let fields = self.tolerant(path, value, &["name", "description", "target_uri"])?;
        let name = match fields.get("name") {
            Some(name) => self.text(&format!("{path}.name"), name, MAX_NAME),
            None => self.error(&format!("{path}.name"), "is missing: the model chooses a target by its name"),
        };
        let description =
            self.optional(path, fields, "description", |parser, at, value| parser.text(at, value, MAX_TEXT));
        let target_uri = self.uri(&format!("{path}.target_uri"), fields.get("target_uri"));
        Some(TransferTarget { name: name?, description: description?.unwrap_or_default(), target_uri: target_uri? })
    }

    fn fallback(&mut self, path: &str, value: &Value) -> Option<Fallback> {
        if value == "hang_up" {
            return Some(Fallback::HangUp);
        }
        let fields = value.as_object().filter(|fields| fields.len() == 1);
        match fields.and_then(|fields| fields.iter().next()) {
            Some((name, value)) if name == "say" => {
                self.text(&format!("{path}.say"), value, MAX_TEXT).map(Fallback::Say)
            }
            Some((name, value)) if name == "refer" => {
                self.uri(&format!("{path}.refer"), Some(value)).map(Fallback::Refer)
            }
            _ => self.error(path, "must be \"hang_up\", {\"say\": \"...\"} or {\"refer\": \"tel:...\"}"),
        }
    }

    fn limits(&mut self, path: &str, value: &Value) -> Option<Limits> {
        let known = ["max_duration_seconds", "idle_seconds", "idle_warning", "cost_usd", "hours", "farewell"];
        let fields = self.tolerant(path, value, &known)?;
        let duration =
            self.optional(path, fields, "max_duration_seconds", |parser, at, value| parser.number(at, value, 10, 7200));
        let idle = self.optional(path, fields, "idle_seconds", |parser, at, value| parser.number(at, value, 5, 600));
        let warning = self.optional(path, fields, "idle_warning", |parser, at, value| parser.text(at, value, MAX_TEXT));
        let cost = self.optional(path, fields, "cost_usd", |parser, at, value| {
            let cost = value.as_f64().filter(|cost| (0.01..=1000.0).contains(cost));
            cost.or_else(|| parser.error(at, "must be a number from 0.01 to 1000"))
        });
        let hours = self.optional(path, fields, "hours", Self::hours);
        let farewell = self.optional(path, fields, "farewell", |parser, at, value| parser.text(at, value, MAX_TEXT));
        let usual = Limits::default();
        Some(Limits {
            max_duration_seconds: duration?.unwrap_or(usual.max_duration_seconds),
            idle_seconds: idle?.unwrap_or(usual.idle_seconds),
            idle_warning: warning?.unwrap_or(usual.idle_warning),
            cost_usd: cost?,
            hours: hours?,
            farewell: farewell?.unwrap_or(usual.farewell),
        })
    }

    pub(super) fn hours(&mut self, path: &str, value: &Value) -> Option<Hours> {
        let fields = self.object(path, value, &["zone", "open"])?;
        let zone = match fields.get("zone").and_then(Value::as_str).filter(|zone| hours::zone(zone).is_some()) {
            Some(zone) => Some(zone.to_owned()),
            None => self.error(&format!("{path}.zone"), "must be a time zone such as Europe/Berlin"),
        };
        let at = format!("{path}.open");
        let open = match fields.get("open") {
            Some(open) => self.list(&at, open, 1, MAX_OPENINGS, Self::opening),
            None => self.error(&at, "is missing: the openings"),
        };
        Some(Hours { zone: zone?, open: open? })
    }

    fn opening(&mut self, path: &str, value: &Value) -> Option<Opening> {
        let fields = self.object(path, value, &["days", "from", "to"])?;
        let at = format!("{path}.days");
        let days = match fields.get("days") {
            Some(days) => self.list(&at, days, 1, DAYS.len(), |parser, at, day| {
                let day = day.as_str().filter(|day| DAYS.contains(day));
                day.map(str::to_owned).or_else(|| parser.error(at, format!("must be one of {}", DAYS.join(", "))))
            }),
            None => self.error(&at, "is missing: the days of the week"),
        };
        let mut time = |name: &str| {
            let time = fields.get(name).and_then(Value::as_str).filter(|time| hours::minute(time).is_some());
            time.map(str::to_owned).or_else(|| self.error(&format!("{path}.{name}"), "must be a time such as 09:00"))
        };
        let (from, to) = (time("from"), time("to"));
        Some(Opening { days: days?, from: from?, to: to? })
    }

    /// An optional field: `Some(None)` when it is absent, `None` when it is wrong.
    #[expect(clippy::option_option, reason = "right, absent and wrong are three results")]
    fn optional<T>(
        &mut self,
        path: &str,
        fields: &Map<String, Value>,
        name: &str,
        read: impl FnOnce(&mut Self, &str, &Value) -> Option<T>,
    ) -> Option<Option<T>> {
        match fields.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => read(self, &format!("{path}.{name}"), value).map(Some),
        }
    }

    fn number(&mut self, path: &str, value: &Value, min: u32, max: u32) -> Option<u32> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (min..=max).contains(number));
        number.or_else(|| self.error(path, format!("must be a whole number from {min} to {max}")))
    }

    fn uri(&mut self, path: &str, value: Option<&Value>) -> Option<String> {
        let uri = value.and_then(Value::as_str).filter(|uri| is_target_uri(uri));
        uri.map(str::to_owned).or_else(|| self.error(path, super::URI_RULE))
    }

    /// As [`object`](Self::object), but an unknown field is a warning.
    fn tolerant<'a>(&mut self, path: &str, value: &'a Value, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let Some(fields) = value.as_object() else { return self.error(path, "must be an object") };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let name = hooks_text::for_display(name);
            self.warning(
                path,
                &format!("the field {name} is unknown and ignored; the fields are {}", known.join(", ")),
            );
        }
        Some(fields)
    }
}

fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_table_name(name: &str) -> bool {
    (3..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_https(url: &str) -> bool {
    let rest = url.strip_prefix("https://").filter(|rest| !rest.starts_with(['/', '?', '#']) && !rest.is_empty());
    rest.is_some_and(|rest| !rest.split('/').next().unwrap_or_default().contains('@'))
        && url.len() <= MAX_TEXT
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `arn:aws:lambda:eu-central-1:123456789012:function:name`, perhaps with `:alias`. No wildcard.
fn is_function_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte))
    };
    let ([arn, partition, service, region, account, function, name]
    | [arn, partition, service, region, account, function, name, _]) = parts[..]
    else {
        return false;
    };
    arn == "arn"
        && partition.starts_with("aws")
        && service == "lambda"
        && function == "function"
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && [region, name].into_iter().chain(parts.get(7).copied()).all(word)
        && name.len() <= 140
}
