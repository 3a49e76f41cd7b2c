//! The function's binary, which is the container's as well.

// The future of a whole session is nested deeper than the compiler's default.
#![recursion_limit = "256"]

use hooks_function::Deadline;
use serde_json::Value;
use supervisor::host::Host;
use tokio::sync::watch;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_function::Error> {
    let host = hooks_function::start(Host::new)?;
    host.warm_up().await;
    if host.is_container() {
        let (stopping, stop) = watch::channel(false);
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::spawn(async move {
            terminated.recv().await;
            let _ = stopping.send(true);
        });
        host.serve(stop).await;
        return Ok(());
    }
    hooks_function::run(async |event: Value, deadline: Deadline| host.handle(event, deadline).await).await
}
