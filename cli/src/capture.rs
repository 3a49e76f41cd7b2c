//! Results of commands that run on behalf of another program, kept instead of written to stdout.

use std::cell::RefCell;

thread_local! {
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Runs a command on this thread, and returns what it writes to stdout with its own result.
pub(crate) fn capture<T>(command: impl FnOnce() -> T) -> (Vec<u8>, T) {
    CAPTURED.set(Some(Vec::new()));
    let result = command();
    (CAPTURED.take().unwrap_or_default(), result)
}

/// Takes output while this thread captures it; returns whether it does.
pub(crate) fn take(bytes: &[u8]) -> bool {
    CAPTURED.with_borrow_mut(|captured| captured.as_mut().map(|captured| captured.extend_from_slice(bytes))).is_some()
}
