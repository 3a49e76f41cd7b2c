//! Steps that Ctrl-C does not cut in two.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::ctrl_c;

use crate::context::Context;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C came during a step that was completed all the same, so that nothing else should begin.
pub(crate) fn happened() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Completes a step that would leave something half done: a first Ctrl-C is answered with `doing`, a second one ends the
/// process.
pub(crate) async fn finish<T>(doing: &str, context: &Context, step: impl Future<Output = T>) -> T {
    tokio::pin!(step);
    loop {
        tokio::select! {
            biased;
            done = &mut step => return done,
            Ok(()) = ctrl_c() => {
                if INTERRUPTED.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
                context.out.note(&format!("{doing}; a moment. (Ctrl-C again stops it half done.)"));
            }
        }
    }
}
