//! Commands in hints, with the options that were given, so that they work on the same stack.

use std::borrow::Cow;
use std::sync::OnceLock;

use clap::CommandFactory as _;
use serde_json::Value;

use crate::Cli;
use crate::context::{GlobalArgs, variable};
use crate::output::shell_word;

/// Programs that hints name, each with the options to insert behind it. Empty options insert nothing.
static PROGRAMS: OnceLock<Vec<Program>> = OnceLock::new();

/// Fields of JSON results that hold hints.
const FIELDS: [&str; 2] = ["fix", "hint"];

/// A program, and the words that follow it in a hint.
#[derive(Debug)]
struct Program {
    name: &'static str,
    commands: Vec<String>,
    options: String,
}

/// Keeps the options of this run for its hints.
pub(crate) fn remember(options: &GlobalArgs) {
    let _ = PROGRAMS.set(programs(options, variable("OPENAI_WEBHOOKS_STACK").as_deref()));
}

/// The text, with the options that were given in each command that it names.
pub(crate) fn complete(text: &str) -> Cow<'_, str> {
    PROGRAMS.get().map_or(Cow::Borrowed(text), |programs| insert(text, programs))
}

/// Completes the hints in a JSON document.
pub(crate) fn complete_json(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if FIELDS.contains(&name.as_str()) => *text = complete(text).into_owned(),
                    other => complete_json(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(complete_json),
        _ => {}
    }
}

fn programs(given: &GlobalArgs, usual_stack: Option<&str>) -> Vec<Program> {
    let option = |name: &str, value: Option<&str>| {
        value.map_or_else(String::new, |value| format!("--{name} {} ", shell_word(value)))
    };
    let of_aws = option("region", given.region.as_deref()) + &option("profile", given.profile.as_deref());
    let usual_stack = usual_stack.unwrap_or("openai-webhooks");
    let stack = option("stack", Some(given.stack.as_str()).filter(|name| *name != usual_stack));
    let own = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let words = |words: [&str; 3]| words.map(str::to_owned).to_vec();
    vec![
        Program { name: "openai-webhooks ", commands: own, options: stack + &of_aws },
        Program {
            name: "aws ",
            commands: words(["cloudformation", "logs", "service-quotas"]),
            options: of_aws.clone(),
        },
        Program { name: "sam delete ", commands: vec!["--stack-name".to_owned()], options: of_aws },
    ]
}

fn insert<'a>(text: &'a str, programs: &[Program]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for program in programs {
        if program.options.is_empty() || !text.contains(program.name) {
            continue;
        }
        let mut parts = text.split(program.name);
        let mut completed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            completed.push_str(program.name);
            let word = part.split(|end: char| end.is_whitespace() || "`.,;:)".contains(end)).next();
            if program.commands.iter().any(|command| Some(command.as_str()) == word) {
                completed.push_str(&program.options);
            }
            completed.push_str(part);
        }
        text = Cow::Owned(completed);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(stack: &str, region: Option<&str>) -> Vec<Program> {
        let options = GlobalArgs {
            stack: stack.to_owned(),
            region: region.map(str::to_owned),
            profile: Some("it's mine".to_owned()),
            json: false,
        };
        programs(&options, None)
    }

    #[test]
    fn each_command_in_a_hint_gets_the_options_that_were_given() {
        let programs = given("prod", Some("eu-west-1"));
        let options = r"--region eu-west-1 --profile 'it'\''s mine'";
        assert_eq!(
            insert("Run `openai-webhooks doctor`. Then: openai-webhooks dlq redrive", &programs),
            format!(
                "Run `openai-webhooks --stack prod {options} doctor`. Then: openai-webhooks --stack prod {options} dlq redrive"
            )
        );
        assert_eq!(
            insert("aws logs tail x (.venv/bin/sam delete --stack-name prod)", &programs),
            format!("aws {options} logs tail x (.venv/bin/sam delete {options} --stack-name prod)")
        );
    }

    #[test]
    fn what_is_no_command_stays_as_it_is() {
        for text in ["the stack openai-webhooks is CREATE_COMPLETE", "openai-webhooks doctors", "AWS needs aws things"]
        {
            assert_eq!(insert(text, &given("prod", None)), text);
        }
    }

    #[test]
    fn a_stack_that_is_the_usual_one_is_not_named() {
        let command = insert("openai-webhooks status", &given("openai-webhooks", None)).into_owned();
        assert_eq!(command, r"openai-webhooks --profile 'it'\''s mine' status");
    }
}
