//! What every request passes: from where, by whom, and with which right. What every answer gets: its headers.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use cookie::Cookie;
use maud::html;

use super::assets;
use super::encode::{compressed, takes_gzip};
use super::hosted::sign_in_path;
use super::oidc::{self, Refusal};
use super::problem::Problem;
use super::session::{Caller, Effort, Opened, Reached, Role};
use super::tokens::same;
use crate::Failure;
use crate::console::App;
use crate::view::layout::{BASE, bare};
use crate::view::parts::say;

/// The longest body, in bytes: a batch's requests, pasted. Larger files are for the command line.
const MAX_BODY: usize = 5 * 1024 * 1024;

/// Nothing but our own style, scripts and forms. No inline style or script, no frame, no plugin, no other host.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Beginning of a command that ends what to do next.
const COMMAND: &str = "openai-webhooks console";

const NOT_SIGNED_IN: &str = "not_signed_in";

/// Fields of a form that was posted with the session's token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posted(pub(crate) Vec<(String, String)>);

impl Posted {
    /// The first value of a field that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) async fn gate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (encodes, path) = (takes_gzip(request.headers()), request.uri().path().to_owned());
    let mut answer = match pass(&app, request, next).await {
        Ok(answer) => answer,
        Err(problem) if path.starts_with("/api") => problem.into_response(),
        Err(problem) => refusal(&app, &problem),
    };
    // API Gateway counts 5xx of all routes together, and an alarm takes them for deliveries that were not taken.
    if answer.status().is_server_error() {
        *answer.status_mut() = StatusCode::FAILED_DEPENDENCY;
    }
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if app.door.hosted().is_some() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if encodes { compressed(answer).await } else { answer }
}

async fn pass(app: &App, mut request: Request, next: Next) -> Result<Response, Problem> {
    let reached = request.extensions().get::<Reached>().cloned();
    from_here(app, request.headers(), reached.as_ref())?;
    let source = reached.map_or_else(|| "this machine".to_owned(), |reached| reached.source);
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads {
        same_origin(app, request.headers())?;
    }
    if reads && path.starts_with(&format!("{BASE}/assets/")) {
        return Ok(assets::answer(&path));
    }
    if *request.method() == Method::GET {
        let query = fields(request.uri().query().unwrap_or_default().as_bytes());
        match path.strip_prefix(BASE) {
            Some("/enter") => return enter(app, query, source).await,
            Some("/sign-in") => return to_provider(app, source).await,
            Some("/signed-in") => {
                let carried = cookie(request.headers(), oidc::COOKIE).unwrap_or_default();
                return from_provider(app, query, carried, source).await;
            }
            _ => {}
        }
    }
    if path == "/api/session" && *request.method() == Method::POST {
        request.extensions_mut().insert(Source(source));
        return Ok(next.run(request).await);
    }
    let bearer = bearer(request.headers());
    let token = bearer.clone().or_else(|| cookie(request.headers(), app.door.cookie_name())).unwrap_or_default();
    let found = if token.is_empty() { None } else { app.door.find(&token).await.map_err(Problem::from)? };
    let Some(mut caller) = found else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, NOT_SIGNED_IN, "You are not signed in, or no longer.")
            .next(app.door.how_to_sign_in()));
    };
    caller.source.clone_from(&source);
    if reads {
        return Ok(run(request, caller, next).await);
    }
    let (mut parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let detail = format!("A request has at most {MAX_BODY} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
            .next("Submit a larger file with `openai-webhooks batch submit FILE`.")
    })?;
    let form = is_form(&parts.headers).then(|| fields(&bytes));
    if bearer.is_none() {
        let header = parts.headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
        let field = form.as_ref().and_then(|form| form.get("csrf"));
        if !header.or(field).is_some_and(|given| same(given, &caller.csrf)) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "no_csrf_token", "The form is not from this session.")
                .next("Open the page again, and submit it from there."));
        }
    }
    if path == format!("{BASE}/leave") {
        app.door.end(&token).await.map_err(Problem::from)?;
        app.audit("signed out", &caller, &path);
        return Ok(([(header::SET_COOKIE, header_of(&app.door.cookie(""))?)], left()).into_response());
    }
    if caller.role != Role::Operator {
        app.audit("may not act", &caller, &path);
        let detail = format!("{} may look, but not act.", caller.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, "read_only", detail).next(app.door.how_to_act()));
    }
    admit(app, Effort::Write, &source).await?;
    app.audit("acts", &caller, &path);
    parts.extensions.insert(form.unwrap_or_default());
    Ok(run(Request::from_parts(parts, Body::from(bytes)), caller, next).await)
}

async fn run(mut request: Request, caller: Caller, next: Next) -> Response {
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The address that a request came from, for what nobody has signed in for yet.
#[derive(Clone)]
pub(crate) struct Source(pub(crate) String);

/// Only by the names of this console, so that no other page's name leads here (DNS rebinding).
fn from_here(app: &App, headers: &HeaderMap, reached: Option<&Reached>) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if app.door.is_ours(host, reached) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", "This address is not the console's."))
}

/// What acts comes from a page of the same origin. Browsers say so with every POST; other programs need not.
fn same_origin(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let foreign = match text(header::ORIGIN) {
        Some(origin) => !app.door.is_own_origin(origin, host),
        None => text(header::HeaderName::from_static("sec-fetch-site"))
            .is_some_and(|site| !matches!(site, "same-origin" | "none")),
    };
    if foreign {
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "The request comes from another site."));
    }
    Ok(())
}

/// Counts what an address does, and refuses it above the limit.
pub(crate) async fn admit(app: &App, effort: Effort, source: &str) -> Result<(), Problem> {
    if app.door.admits(effort, source).await.map_err(Problem::from)? {
        return Ok(());
    }
    tracing::warn!(from = source, ?effort, "console: too many tries");
    let detail = "Too many requests of this kind came from your address.";
    let next = match effort {
        Effort::SignIn => "Try it again in five minutes.",
        Effort::Write => "Try it again in a minute. Nothing was done.",
    };
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", detail).next(next))
}

/// Signs in by the link.
async fn enter(app: &App, query: Posted, source: String) -> Result<Response, Problem> {
    admit(app, Effort::SignIn, &source).await?;
    let opened = app.door.open(query.get("link").unwrap_or_default()).await.map_err(Problem::from)?;
    entered(app, opened.ok_or_else(|| unknown_link(app, &source))?, &source, "link")
}

/// Leads to the identity provider's page.
async fn to_provider(app: &App, source: String) -> Result<Response, Problem> {
    let Some((door, provider)) = app.door.hosted().and_then(|door| Some((door, door.provider.as_ref()?))) else {
        return Err(Problem::not_found("such page or path"));
    };
    admit(app, Effort::SignIn, &source).await?;
    let signer = door.signer().await.map_err(Problem::from)?;
    let begun = provider.begin(&signer, door.way_back()).await.map_err(Problem::from)?;
    Ok(([(header::SET_COOKIE, header_of(&begun.cookie)?)], Redirect::to(&begun.url)).into_response())
}

/// Signs in by what the identity provider says.
async fn from_provider(app: &App, query: Posted, carried: String, source: String) -> Result<Response, Problem> {
    let Some((door, provider)) = app.door.hosted().and_then(|door| Some((door, door.provider.as_ref()?))) else {
        return Err(Problem::not_found("such page or path"));
    };
    admit(app, Effort::SignIn, &source).await?;
    let signer = door.signer().await.map_err(Problem::from)?;
    let given = (query.get("state").unwrap_or_default(), query.get("code").unwrap_or_default());
    match provider.end(&signer, door.way_back(), &carried, given).await.map_err(Problem::from)? {
        Ok(person) => entered(app, door.begin(&person).await.map_err(Problem::from)?, &source, "identity provider"),
        Err(Refusal::Unproven(why)) => {
            tracing::warn!(from = source, why, "console: sign-in refused");
            Err(Problem::new(StatusCode::UNAUTHORIZED, "sign_in_refused", "The sign-in was not completed.")
                .next("Sign in again. The function's log says why it was refused."))
        }
        Err(Refusal::NoGroup(name)) => {
            tracing::warn!(from = source, who = name, "console: sign-in of somebody whom no group lets in");
            let detail = format!("{name} is in no group that may use this console.");
            Err(Problem::new(StatusCode::FORBIDDEN, "no_group", detail).next(
                "Ask for one of the groups that the stack's parameters OidcOperatorGroup and OidcViewerGroup name.",
            ))
        }
    }
}

/// The answer to somebody who has just come in.
///
/// Behind the HTTP API it is a page that goes on to the first one: of a redirect that another site began, the browser would
/// not send the cookie along.
fn entered(app: &App, opened: Opened, source: &str, by: &str) -> Result<Response, Problem> {
    let caller = Caller { source: source.to_owned(), ..opened.caller };
    app.audit(&format!("signed in by {by}"), &caller, "");
    let cookie = (header::SET_COOKIE, header_of(&app.door.cookie(&opened.token))?);
    if app.door.hosted().is_none() {
        return Ok(([cookie], Redirect::to(BASE)).into_response());
    }
    let more = html! { p { a.button href=(BASE) { "Go on" } } };
    let page = bare("Signed in", &say("", "done", "You are signed in.", &more));
    let on = (header::REFRESH, HeaderValue::from_static("0; url=/console"));
    Ok(([cookie, on], page).into_response())
}

/// The same answer for a wrong link, a used one and one that is over.
pub(crate) fn unknown_link(app: &App, source: &str) -> Problem {
    tracing::warn!(from = source, "console: link refused");
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "link_not_valid",
        "This link is not valid: each works once, and not for long.",
    )
    .next(app.door.how_to_sign_in())
}

fn left() -> maud::Markup {
    bare("Signed out", &say("", "done", "You are signed out.", &html! { p.quiet { "This window can be closed." } }))
}

/// A refusal as a page.
fn refusal(app: &App, problem: &Problem) -> Response {
    let signs_in = matches!(problem.reason.as_str(), NOT_SIGNED_IN | "link_not_valid" | "sign_in_refused" | "no_group")
        && app.door.hosted().is_some_and(|door| door.provider.is_some());
    let more = html! {
        @if signs_in { p { a.button.main href=(sign_in_path()) { "Sign in" } } }
        @if let Some(next) = &problem.next { p {
            @match next.split_once(COMMAND) {
                Some((before, rest)) => { (before) code.id { (COMMAND) (rest) } }
                None => (next),
            }
        } }
        p.quiet { code { (problem.reason) } }
    };
    let icon = if problem.status == 401 || problem.status == 403 { "lock" } else { "failed" };
    (problem.code(), bare(&problem.title, &say("", icon, &problem.detail, &more))).into_response()
}

fn header_of(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Failure::service("the session has no cookie").into())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(Cookie::split_parse).flatten().find(|one| one.name() == name).map(|one| one.value().to_owned())
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(|token| token.trim().to_owned())
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/x-www-form-urlencoded")
}

fn fields(bytes: &[u8]) -> Posted {
    Posted(form_urlencoded::parse(bytes).into_owned().collect())
}
