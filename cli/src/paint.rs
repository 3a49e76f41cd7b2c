//! Colours of the output. A text of a command may hold anything from outside, so its control characters are escaped when
//! it is printed; only the marks that [`paint`] leaves become a terminal's codes.

use std::fmt::Display;
use std::sync::LazyLock;

/// A mark that no text from outside can hold, since it is drawn anew by each process.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{1b}{:016x}", fastrand::u64(..)));

/// A colour or weight, as the parameter of a terminal's code.
#[derive(Clone, Copy)]
pub(crate) enum Paint {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// A text in this colour, where colours are shown.
pub(crate) fn paint(text: impl Display, paint: Paint) -> String {
    if console::colors_enabled() { painted(text, paint) } else { text.to_string() }
}

fn painted(text: impl Display, paint: Paint) -> String {
    format!("{mark}{}m{text}{mark}0m", paint as u8, mark = *MARK)
}

/// A text for a terminal: painted as it says, and everything else that is not shown escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut pieces = text.split(&**MARK);
    let mut shown = hooks_text::lines(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let (code, rest) = piece.split_once('m').unwrap_or(("0", piece));
        shown += "\u{1b}[";
        shown += code;
        shown += "m";
        shown += &hooks_text::lines(rest);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_itself_paints() {
        let text = format!("{} \u{1b}[31mred\u{1b}[0m", painted("failed", Paint::Red));
        assert_eq!(shown(&text), "\u{1b}[31mfailed\u{1b}[0m \\u{1b}[31mred\\u{1b}[0m");
    }
}
