//! `completions` and `man`, generated from the definitions of the help.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use crate::Cli;
use crate::context::Context;
use crate::error::{CliError, Result};

pub(crate) fn completions(shell: Shell, context: &Context) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "openai-webhooks", &mut script);
    text(&script, "script", context)
}

pub(crate) fn man(context: &Context) -> Result {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let rendered =
        clap_mangen::Man::new(command.clone()).render(&mut page).and_then(|()| commands(&command, &mut page));
    rendered.map_err(|error| CliError::failed(format!("cannot write the manual page: {error}")))?;
    text(&page, "page", context)
}

fn text(generated: &[u8], name: &str, context: &Context) -> Result {
    let text = String::from_utf8_lossy(generated);
    context.out.result(&json!({ name: text }), || text.to_string())
}

/// A section for each subcommand.
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
