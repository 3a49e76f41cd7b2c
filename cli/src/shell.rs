//! `completions` and `man`: for the shell, generated from the same definitions as the help.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::Cli;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Print a script that completes commands and options in your shell
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, commands included (try: openai-webhooks man | man -l -)
#[derive(Args, Debug)]
pub(crate) struct ManArgs {}

pub(crate) fn completions(args: &CompletionsArgs, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "openai-webhooks", &mut script);
    text(&script, "script", context)?;
    Ok(Exit::Yes)
}

pub(crate) fn man(context: &Context) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    render(&command, &mut page).map_err(|error| Failure::no(format!("cannot write the manual page: {error}")))?;
    text(&page, "page", context)?;
    Ok(Exit::Yes)
}

fn text(generated: &[u8], name: &str, context: &Context) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(generated);
    context.out.result(&json!({ name: text }), || text.to_string())
}

/// The page of the command, with a section for each of those below it.
fn render(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(page)?;
    commands(command, page)
}

fn commands(parent: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    for command in parent.get_subcommands().filter(|command| command.get_name() != "help") {
        let man = clap_mangen::Man::new(command.clone());
        page.extend(format!(".SH \"{}\"\n", command.get_bin_name().unwrap_or_default()).as_bytes());
        page.extend(command.get_about().map(|about| format!("{about}\n")).unwrap_or_default().as_bytes());
        man.render_synopsis_section(page)?;
        man.render_options_section(page)?;
        commands(command, page)?;
    }
    Ok(())
}
