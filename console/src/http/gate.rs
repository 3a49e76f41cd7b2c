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
use super::problem::Problem;
use super::session::{COOKIE, Caller, Role};
use super::tokens::same;
use crate::Failure;
use crate::console::App;
use crate::view::layout::{BASE, bare};
use crate::view::parts::say;

/// The longest body, in bytes: a batch's requests, pasted. Larger files are for the command line.
const MAX_BODY: usize = 5 * 1024 * 1024;

/// What to do to get in.
const HOW_TO_SIGN_IN: &str = "Start it again: openai-webhooks console";

/// Nothing but our own style, scripts and forms. No inline style or script, no frame, no plugin, no other host.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

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
        Err(problem) => refusal(&problem),
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if encodes { compressed(answer).await } else { answer }
}

async fn pass(app: &App, request: Request, next: Next) -> Result<Response, Problem> {
    from_here(app, request.headers())?;
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads {
        same_origin(request.headers())?;
    }
    if reads && path.starts_with(&format!("{BASE}/assets/")) {
        return Ok(assets::answer(&path));
    }
    if path == format!("{BASE}/enter") && *request.method() == Method::GET {
        return enter(app, &request);
    }
    if path == "/api/session" && *request.method() == Method::POST {
        return Ok(next.run(request).await);
    }
    let bearer = bearer(request.headers());
    let token = bearer.clone().or_else(|| cookie(request.headers(), COOKIE));
    let caller = token.as_deref().and_then(|token| app.door.find(token));
    let Some(caller) = caller else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "not_signed_in", "You are not signed in, or no longer.")
            .next(HOW_TO_SIGN_IN));
    };
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
        app.door.end(token.as_deref().unwrap_or_default());
        app.audit("signed out", &caller, "");
        let gone = set_cookie("", true)?;
        return Ok(([(header::SET_COOKIE, gone)], left()).into_response());
    }
    if caller.role != Role::Operator {
        let detail = format!("{} may look, but not act.", caller.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, "read_only", detail)
            .next("Start it without --read-only: openai-webhooks console"));
    }
    app.audit("acts", &caller, &path);
    parts.extensions.insert(form.unwrap_or_default());
    Ok(run(Request::from_parts(parts, Body::from(bytes)), caller, next).await)
}

async fn run(mut request: Request, caller: Caller, next: Next) -> Response {
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// On loopback: only by the names of this machine, so that no other page's name leads here (DNS rebinding).
fn from_here(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if app.door.authorities.iter().any(|ours| ours == host) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", "This address is not the console's."))
}

/// What acts comes from a page of the same origin. Browsers say so with every POST; other programs need not.
fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let foreign = match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").is_none_or(|(_, authority)| authority != host),
        None => text(header::HeaderName::from_static("sec-fetch-site"))
            .is_some_and(|site| !matches!(site, "same-origin" | "none")),
    };
    if foreign {
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "The request comes from another site."));
    }
    Ok(())
}

/// Signs in by the link.
fn enter(app: &App, request: &Request) -> Result<Response, Problem> {
    let query = fields(request.uri().query().unwrap_or_default().as_bytes());
    let link = query.get("link").unwrap_or_default();
    let opened = app.door.open(link).map_err(Problem::from)?.ok_or_else(unknown_link)?;
    app.audit("signed in", &opened.caller, "");
    Ok(([(header::SET_COOKIE, set_cookie(&opened.token, false)?)], Redirect::to(BASE)).into_response())
}

/// The same answer for a wrong and for a used link.
pub(crate) fn unknown_link() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "link_not_valid", "This link is not valid: each works once.")
        .next(HOW_TO_SIGN_IN)
}

fn left() -> maud::Markup {
    bare("Signed out", &say("", "done", "You are signed out.", &html! { p.quiet { "This window can be closed." } }))
}

/// A refusal as a page.
fn refusal(problem: &Problem) -> Response {
    let more = html! { @if let Some(next) = &problem.next { p { (next) } } p.quiet { code { (problem.reason) } } };
    let icon = if problem.status == 401 || problem.status == 403 { "lock" } else { "failed" };
    (problem.code(), bare(&problem.title, &say("", icon, &problem.detail, &more))).into_response()
}

fn set_cookie(value: &str, over: bool) -> Result<HeaderValue, Problem> {
    let over = if over { "; Max-Age=0" } else { "" };
    HeaderValue::from_str(&format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{over}"))
        .map_err(|_| Failure::service("the session has no cookie").into())
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
