//! Values of arguments, for the help, the completions and the tools of `mcp`.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, Error};
use hooks_aws::outcomes::Severity;
use hooks_webhook::Category;

/// A category by its name.
pub(crate) fn category() -> impl TypedValueParser<Value = Category> {
    PossibleValuesParser::new(Category::ALL.map(Category::as_str)).try_map(|name| name.parse::<Category>())
}

/// A severity of alerts by its name.
pub(crate) fn severity() -> impl TypedValueParser<Value = Severity> {
    let value = |severity: Severity| {
        let help = match severity {
            Severity::Info => "Worth knowing, nothing to do",
            Severity::Warning => "Something is lost or incomplete",
            Severity::Critical => "Somebody must act",
        };
        PossibleValue::new(severity.as_str()).help(help)
    };
    PossibleValuesParser::new(Severity::ALL.map(value)).map(|name| Severity::named(&name).unwrap_or(Severity::Info))
}

/// Values that are named, beside others that the parser takes, too.
#[derive(Clone)]
pub(crate) struct Suggested<P> {
    parser: P,
    names: Vec<&'static str>,
}

impl<P> Suggested<P> {
    pub(crate) fn new(names: impl IntoIterator<Item = &'static str>, parser: P) -> Self {
        Self { parser, names: names.into_iter().collect() }
    }
}

impl<P: TypedValueParser> TypedValueParser for Suggested<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().copied().map(PossibleValue::new)))
    }
}
