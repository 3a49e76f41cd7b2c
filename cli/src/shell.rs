//! `completions` and `man`, generated from the definitions of the help.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::Cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::expect;

const NAME: &str = "openai-webhooks";

/// Print the manual page of a command, or write those of all commands
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Words of the command, such as `events list` [default: the page of the whole]
    command: Vec<String>,
    /// Write the page of every command into this folder, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(shell: Shell, context: &Context) -> Result {
    let (mut command, mut script) = (Cli::command(), Vec::new());
    if shell == Shell::Zsh {
        command = command.mut_subcommand("expect", |expect| kinds_as_commands(&expect));
    }
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap issue 6421: states below the first word have a name that none leads to.
        Shell::Bash => script = script.replace("openai__subcmd__webhooks", "openai__webhooks"),
        // clap's script completes options alone.
        Shell::Fish => positionals(&Cli::command(), &mut Vec::new(), &mut script),
        _ => {}
    }
    text(&script, "script", context)
}

/// `expect` with the kinds of objects as commands beside its own: clap's script for zsh reads a command as the kind.
fn kinds_as_commands(expect: &Command) -> Command {
    let (positional, options): (Vec<_>, Vec<_>) = expect.get_arguments().cloned().partition(Arg::is_positional);
    let kinds = expect::CATEGORIES.map(|category| {
        Command::new(category.as_str())
            .about(format!("Record that a {category} will end"))
            .args(positional.iter().filter(|arg| arg.get_id() == "id"))
            .args(&options)
    });
    Command::new("expect")
        .about(expect.get_about().cloned().unwrap_or_default())
        .subcommands(kinds)
        .subcommands(expect.get_subcommands())
}

/// Adds the values of positional arguments to a script for fish, of this command and those below it.
fn positionals<'a>(command: &'a Command, path: &mut Vec<&'a str>, script: &mut String) {
    const USING: &str = "__fish_openai_webhooks_using_subcommand";
    let below: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let condition = match path.as_slice() {
        [first] if below.is_empty() => format!("{USING} {first}"),
        [first] => format!("{USING} {first}; and not __fish_seen_subcommand_from {}", below.join(" ")),
        [first, second, ..] => format!("{USING} {first}; and __fish_seen_subcommand_from {second}"),
        [] => String::new(),
    };
    for one in command.get_positionals().filter(|_| !path.is_empty()) {
        let values = one.get_value_parser().possible_values().into_iter().flatten();
        let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        if !names.is_empty() {
            // Writing into a text cannot fail.
            let _ = writeln!(script, "complete -c {NAME} -n \"{condition}\" -f -a \"{}\"", names.join(" "));
        }
    }
    for subcommand in command.get_subcommands() {
        path.push(subcommand.get_name());
        positionals(subcommand, path, script);
        path.pop();
    }
}

pub(crate) fn man(args: &ManArgs, context: &Context) -> Result {
    let mut root = Cli::command();
    root.build();
    if let Some(dir) = &args.dir {
        let failed = |error| CliError::usage(format!("cannot write into {}: {error}", dir.display()));
        fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir)).map_err(failed)?;
        return context.out.result(&json!({ "dir": dir }), || {
            format!("Wrote the pages of all commands into {}. Try: man {NAME}-events-list", dir.display())
        });
    }
    let command = args.command.iter().try_fold(&root, |command, word| {
        command
            .find_subcommand(word)
            .ok_or_else(|| CliError::usage(format!("{} has no command {word}", command.get_bin_name().unwrap_or(NAME))))
    })?;
    let page = page(command).map_err(|error| CliError::failed(format!("cannot write the manual page: {error}")))?;
    text(&page, "page", context)
}

fn page(command: &Command) -> std::io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Prints a generated text as it is: hints are not completed in it.
fn text(generated: &str, name: &str, context: &Context) -> Result {
    if context.out.json {
        return context.out.result(&json!({ name: generated }), String::new);
    }
    context.out.raw(generated.as_bytes())
}
