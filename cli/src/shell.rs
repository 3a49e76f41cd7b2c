//! `completions` and `man`, generated from the definitions of the help.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::Cli;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Print a completion script for your shell
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page of all commands (try: openai-webhooks man | man -l -)
#[derive(Args, Debug)]
pub(crate) struct ManArgs {}

pub(crate) fn completions(args: &CompletionsArgs, context: &Context) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "openai-webhooks", &mut script);
    text(&script, "script", context)
}

pub(crate) fn man(context: &Context) -> Result {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    render(&command, &mut page).map_err(|error| CliError::failed(format!("cannot write the manual page: {error}")))?;
    text(&page, "page", context)
}

fn text(generated: &[u8], name: &str, context: &Context) -> Result {
    let text = String::from_utf8_lossy(generated);
    context.out.result(&json!({ name: text }), || text.to_string())
}

/// The command's page, with a section for each subcommand.
fn render(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(page)?;
    commands(command, page)
}

fn commands(parent: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    for command in parent.get_subcommands().filter(|command| command.get_name() != "help") {
        // Common options are at the top of the page.
        let shown = command.clone().disable_help_flag(true).mut_args(|one| {
            let is_common = one.is_global_set() || one.get_id() == "help";
            if is_common { one.hide(true) } else { one }
        });
        let man = clap_mangen::Man::new(shown);
        let mut sections = Vec::new();
        man.render_synopsis_section(&mut sections)?;
        man.render_options_section(&mut sections)?;
        page.extend(format!(".SH \"{}\"\n", command.get_bin_name().unwrap_or_default()).as_bytes());
        page.extend(command.get_about().map(|about| format!("{about}\n")).unwrap_or_default().as_bytes());
        page.extend(String::from_utf8_lossy(&sections).replace(".SH ", ".SS ").as_bytes());
        commands(command, page)?;
    }
    Ok(())
}
