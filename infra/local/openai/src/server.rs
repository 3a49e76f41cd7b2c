//! All routes together, and serving them.

use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::Shared;
use crate::{
    access, agents, batches, calls, errors, evals, faults, files, fine_tuning, requests, responses, safety, webhooks,
};

fn router(app: Shared) -> Router {
    // Read from the bottom: a request is logged, then its key is checked, and only then a fault may strike.
    let api = Router::new()
        .merge(files::api())
        .merge(batches::api())
        .merge(calls::api())
        .merge(responses::api())
        .merge(fine_tuning::api())
        .merge(evals::api())
        .merge(agents::api())
        .merge(safety::api())
        .merge(webhooks::api())
        .fallback(errors::unknown_url)
        .method_not_allowed_fallback(errors::unknown_url)
        .layer(from_fn_with_state(app.clone(), faults::inject))
        .layer(from_fn_with_state(app.clone(), access::check_key))
        .layer(from_fn(access::add_headers))
        .layer(from_fn_with_state(app.clone(), requests::record));
    let control = Router::new()
        .merge(files::control())
        .merge(batches::control())
        .merge(calls::control())
        .merge(responses::control())
        .merge(fine_tuning::control())
        .merge(evals::control())
        .merge(agents::control())
        .merge(safety::control())
        .merge(webhooks::control())
        .merge(faults::control())
        .merge(requests::control())
        .merge(access::control())
        .fallback(errors::unknown_command);
    api.nest("/_control", control).with_state(app)
}

/// Serves until `stop` is ready; then answers under way have `last_answers` to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Shared,
    stop: impl Future<Output = ()> + Send + 'static,
    last_answers: Duration,
) -> std::io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        stop.await;
        // Nobody listens any more only when serving has ended by itself.
        let _ = stopping.send(());
    });
    tokio::select! {
        result = serving => result,
        () = async { if stopped.await.is_ok() { tokio::time::sleep(last_answers).await } } => Ok(()),
    }
}
