//! What is read from files, from stdin and from a terminal. All of it is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;
use crate::output::is_interactive;

/// The longest body and the longest capture that are read, in bytes. Receivers look at 256 KiB of a body.
pub(crate) const MAX_BODY: u64 = 1024 * 1024;

/// The longest secret that is read, in bytes.
const MAX_SECRET: u64 = 4096;

/// A file's bytes, or those of stdin for `-`.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let name = if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() };
    let open = || -> io::Result<Box<dyn Read>> {
        if is_stdin(path) { Ok(Box::new(io::stdin().lock())) } else { Ok(Box::new(File::open(path)?)) }
    };
    let mut read = Vec::new();
    let result = open().and_then(|from| from.take(limit + 1).read_to_end(&mut read));
    result.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    if read.len() as u64 > limit {
        return Err(Failure::usage(format!("{name} is longer than {limit} bytes")));
    }
    Ok(read)
}

/// Whether the path stands for stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A secret from a file, or from stdin for `-`. What is wrong with it is said without showing it.
pub(crate) fn secret(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(bytes(path, MAX_SECRET)?);
    let text = text.map_err(|_| Failure::usage(format!("what {} holds is not text", path.display())))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage("no secret was given").hint("Pipe it in, or name a file that holds it."));
    }
    Ok(text.to_owned())
}

/// A secret from a terminal, without showing what is typed; without a terminal from stdin.
pub(crate) fn typed_secret(prompt: &str) -> Result<String, Failure> {
    if !is_interactive() {
        return secret(Path::new("-"));
    }
    let terminal = console::Term::stderr();
    let typed = terminal.write_str(&format!("{prompt}: ")).and_then(|()| terminal.read_secure_line());
    let typed = typed.map_err(|error| Failure::usage(format!("cannot read from the terminal: {error}")))?;
    let typed = typed.trim();
    if typed.is_empty() { Err(Failure::usage("nothing was typed")) } else { Ok(typed.to_owned()) }
}

/// A time: seconds since the epoch, or as RFC 3339 has it.
pub(crate) fn time(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time =
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "neither Unix seconds nor like 2026-11-21T09:30:00Z")?;
    u64::try_from(time.unix_timestamp()).map_err(|_| "before 1970".to_owned())
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
