//! Results of commands that run on behalf of another program, kept instead of written to stdout.

use std::cell::RefCell;

/// What a command has printed.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    /// Whether it is a document on each line: none, one, or many.
    pub(crate) is_lines: bool,
    /// Whether there are more than those.
    pub(crate) more: bool,
}

thread_local! {
    static CAPTURED: RefCell<Option<Captured>> = const { RefCell::new(None) };
}

/// Runs a command on this thread, and returns what it writes to stdout with its own result.
pub(crate) fn capture<T>(command: impl FnOnce() -> T) -> (Captured, T) {
    CAPTURED.set(Some(Captured::default()));
    let result = command();
    (CAPTURED.take().unwrap_or_default(), result)
}

/// Changes what is captured, while this thread captures; returns whether it does.
pub(crate) fn take(change: impl FnOnce(&mut Captured)) -> bool {
    CAPTURED.with_borrow_mut(|captured| captured.as_mut().map(change)).is_some()
}
