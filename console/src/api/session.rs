//! Sign-in of programs: a link's token becomes a bearer token.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, read};
use crate::console::App;
use crate::http::gate::{Source, admit, unknown_link};
use crate::http::problem::Problem;
use crate::http::session::{Caller, Effort};

/// The token of a link, the part after `link=`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignIn {
    /// Token.
    #[schema(max_length = 256)]
    link: String,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// What to send as `Authorization: Bearer TOKEN`.
    token: String,
    /// Who it is.
    name: String,
    /// `operator` or `read-only`.
    role: String,
}

/// Sign in by the token of a link
#[utoipa::path(post, path = "/api/session", request_body = SignIn, security(()), responses(
    (status = 200, description = "A session", body = Session),
    Problem,
))]
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(Source(source)): Extension<Source>,
    body: Body<SignIn>,
) -> Result<Json<Session>, Problem> {
    admit(&app, Effort::SignIn, &source).await?;
    let SignIn { link } = read(body)?;
    let opened = app.door.open(&link).await.map_err(Problem::from)?.ok_or_else(|| unknown_link(&app, &source))?;
    let caller = Caller { source, ..opened.caller };
    app.audit("signed in by link", &caller, "/api/session");
    Ok(Json(Session { token: opened.token, role: caller.role.word().to_owned(), name: caller.name }))
}
