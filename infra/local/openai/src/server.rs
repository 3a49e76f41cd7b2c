//! The server: the parts of the stand-in, their routes, and serving them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::agents::Agents;
use crate::api_keys::ApiKeys;
use crate::batches::Batches;
use crate::faults::Faults;
use crate::fine_tuning::FineTuning;
use crate::phone_calls::PhoneCalls;
use crate::request_log::RequestLog;
use crate::responses::Responses;
use crate::safety::Safety;
use crate::tokens::Tokens;
use crate::webhooks::Webhooks;
use crate::{api_keys, errors, faults, files, request, request_log, webhooks};

/// All routes. Each part gets the parts that it uses, and no others.
pub(crate) fn router(api_key: String, retry_factor: f64) -> Router {
    let (keys, faults, log) = (ApiKeys::new(api_key), Arc::<Faults>::default(), Arc::<RequestLog>::default());
    let webhooks = Webhooks::new(retry_factor);
    let files = files::files();
    let batches = Batches::new(&files, &webhooks);
    let fine_tuning = FineTuning::new(&files, &webhooks);
    let responses = Responses::new(&fine_tuning, &webhooks);
    let agents = Agents::new(&webhooks);
    let safety = Safety::new(&webhooks);
    let (tokens, played) = (Tokens::new(&keys), Arc::clone(&log));
    let phone_calls = PhoneCalls::new(&webhooks);

    let control = Router::new()
        .merge(files::control(&files))
        .merge(batches.control())
        .merge(fine_tuning.control())
        .merge(responses.control())
        .merge(agents.control())
        .merge(safety.control())
        .merge(phone_calls.control())
        .merge(webhooks::control(&webhooks))
        .merge(faults::control(&faults))
        .merge(request_log::control(&log))
        .merge(api_keys::control(&keys))
        .merge(tokens.control())
        .fallback(errors::unknown_command);
    // Read the layers from the bottom: a request is logged, its key is checked, and then faults apply.
    Router::new()
        .merge(files::api(&files))
        .merge(batches.api())
        .merge(fine_tuning.api())
        .merge(responses.api())
        .merge(agents.api())
        .merge(safety.api())
        .merge(phone_calls.api())
        .merge(webhooks::api(&webhooks))
        .fallback(errors::unknown_url)
        .method_not_allowed_fallback(errors::unknown_url)
        .layer(from_fn_with_state(faults, faults::inject))
        .layer(from_fn_with_state(keys, api_keys::check_key))
        .layer(from_fn(api_keys::add_headers))
        .layer(from_fn_with_state(log, request_log::record))
        .layer(from_fn(request::read_first))
        .merge(tokens.oauth().layer(from_fn_with_state(played, request_log::record)))
        .nest("/_control", control)
}

/// Serves until `stop` is ready; then requests in progress have `grace` to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> std::io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        // The receiver is gone only when serving has ended by itself.
        let _ = stopping.send(());
    });
    tokio::select! {
        result = serving => result,
        () = async { if stopped.await.is_ok() { tokio::time::sleep(grace).await } } => Ok(()),
    }
}
