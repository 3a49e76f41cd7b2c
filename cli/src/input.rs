//! Bounded input from files, stdin and a terminal.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use reqwest::Url;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{CliError, Result};
use crate::output::is_interactive;

/// Maximum length of a body or a capture, in bytes. The verifier accepts bodies of up to 256 KiB.
pub(crate) const MAX_BODY: u64 = 1024 * 1024;

/// Maximum length of a secret, in bytes.
const MAX_SECRET: u64 = 4096;

/// Reads a file, or stdin for `-`.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() };
    let open = || -> io::Result<Box<dyn Read>> {
        if is_stdin(path) { Ok(Box::new(io::stdin().lock())) } else { Ok(Box::new(File::open(path)?)) }
    };
    let mut read = Vec::new();
    let result = open().and_then(|from| from.take(limit + 1).read_to_end(&mut read));
    result.map_err(|error| CliError::usage(format!("cannot read {name}: {error}")))?;
    if read.len() as u64 > limit {
        return Err(CliError::usage(format!("{name} is longer than {limit} bytes")));
    }
    Ok(read)
}

/// Whether the path is `-`, which means stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a secret from a file, or from stdin for `-`. Errors do not show it.
pub(crate) fn secret(path: &Path) -> Result<String> {
    let text = String::from_utf8(bytes(path, MAX_SECRET)?);
    let text = text.map_err(|_| CliError::usage(format!("{} does not contain text", path.display())))?;
    // An editor may have written a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(CliError::usage("no secret was given").hint("Pipe it in, or name a file that contains it."));
    }
    Ok(text.to_owned())
}

/// Reads a secret from a terminal without echo; without a terminal from stdin.
pub(crate) fn typed_secret(prompt: &str) -> Result<String> {
    if !is_interactive() {
        return secret(Path::new("-"));
    }
    let terminal = console::Term::stderr();
    let typed = terminal.write_str(&format!("{prompt}: ")).and_then(|()| terminal.read_secure_line());
    let typed = typed.map_err(|error| CliError::usage(format!("cannot read from the terminal: {error}")))?;
    let typed = typed.trim();
    if typed.is_empty() { Err(CliError::usage("no secret was typed")) } else { Ok(typed.to_owned()) }
}

/// Parses a URL.
pub(crate) fn url(text: &str) -> std::result::Result<Url, &'static str> {
    text.parse().map_err(|_| "not a URL, such as http://localhost:3000/webhook")
}

/// Parses a time: Unix seconds or RFC 3339.
pub(crate) fn time(text: &str) -> std::result::Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "a time is Unix seconds or RFC 3339, such as 2026-11-21T09:30:00Z")?;
    u64::try_from(time.unix_timestamp()).map_err(|_| "the time is before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_both_forms() {
        assert_eq!(time("1750861210"), Ok(1_750_861_210));
        assert_eq!(time("2025-06-25T14:20:10Z"), Ok(1_750_861_210));
        assert_eq!(time("2025-06-25T16:20:10+02:00"), Ok(1_750_861_210));
        for text in ["", "-1", "yesterday", "2025-06-25", "1960-01-01T00:00:00Z"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
