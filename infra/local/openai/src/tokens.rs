//! Token endpoint of workload identity: `POST /oauth/token`, beside the API.
//!
//! It takes the tokens of a stand-in for AWS without looking at the signature; who the token is of and for, and how long
//! it is good, it checks.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_keys::ApiKeys;
use crate::ids::hex_id;
use crate::store::lock;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const AUDIENCE: &str = "https://api.openai.com/v1";

/// What the project has set up.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUp {
    identity_provider_id: String,
    service_account_id: String,
    /// What the subjects of the tokens begin with, such as the roles of a stack.
    subjects: Vec<String>,
    permissions: Vec<String>,
    /// Lifetime of the tokens that are given, in seconds.
    expires_in: u64,
}

/// The identity, once a command has set one up.
pub(crate) struct Tokens {
    keys: Arc<ApiKeys>,
    identity: Mutex<Option<SetUp>>,
}

type App = State<Arc<Tokens>>;

impl Tokens {
    pub(crate) fn new(keys: &Arc<ApiKeys>) -> Arc<Self> {
        Arc::new(Self { keys: Arc::clone(keys), identity: Mutex::default() })
    }

    pub(crate) fn control(self: &Arc<Self>) -> Router {
        Router::new().route("/identity", post(set_up)).with_state(Arc::clone(self))
    }

    pub(crate) fn oauth(self: &Arc<Self>) -> Router {
        Router::new().route("/oauth/token", post(exchange)).with_state(Arc::clone(self))
    }
}

async fn set_up(State(tokens): App, Json(identity): Json<SetUp>) -> Json<Value> {
    *lock(&tokens.identity) = Some(identity);
    Json(json!({}))
}

/// A refusal in OAuth's format.
struct Refusal(StatusCode, &'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1, "error_description": self.2}))).into_response()
    }
}

async fn exchange(State(tokens): App, Json(asked): Json<Value>) -> Result<Json<Value>, Refusal> {
    let bad = |code, words| Refusal(StatusCode::BAD_REQUEST, code, words);
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    if (text("grant_type"), text("subject_token_type")) != (GRANT, JWT) {
        return Err(bad("invalid_request", "Only the exchange of a JWT is supported."));
    }
    let Some(identity) = lock(&tokens.identity).clone() else {
        return Err(Refusal(StatusCode::UNAUTHORIZED, "invalid_client", "The identity provider does not exist."));
    };
    if text("identity_provider_id") != identity.identity_provider_id {
        return Err(Refusal(StatusCode::UNAUTHORIZED, "invalid_client", "The identity provider does not exist."));
    }
    if text("service_account_id") != identity.service_account_id {
        return Err(bad("invalid_target", "The service account does not exist."));
    }
    let Some(claims) = claims(text("subject_token")) else {
        return Err(bad("invalid_grant", "The subject token cannot be read."));
    };
    if !names(&claims["aud"], AUDIENCE) {
        return Err(bad("invalid_grant", "The subject token is for another audience."));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if claims["exp"].as_u64().is_none_or(|end| end <= now) {
        return Err(bad("invalid_grant", "The subject token has expired."));
    }
    let subject = claims["sub"].as_str().unwrap_or_default();
    if !identity.subjects.iter().any(|begin| subject.starts_with(begin.as_str())) {
        return Err(Refusal(
            StatusCode::FORBIDDEN,
            "invalid_grant",
            "The subject is not mapped to the service account.",
        ));
    }
    let permissions: Vec<String> = match asked["scope"].as_str() {
        Some(scope) => scope.split(' ').map(str::to_owned).collect(),
        None => identity.permissions.clone(),
    };
    if !permissions.iter().all(|permission| identity.permissions.contains(permission)) {
        return Err(bad("invalid_scope", "The service account does not have all of these permissions."));
    }
    let token = hex_id("oat_");
    tokens.keys.restrict(token.clone(), permissions);
    Ok(Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": identity.expires_in})))
}

fn claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}

fn names(audience: &Value, wanted: &str) -> bool {
    audience == wanted || audience.as_array().is_some_and(|list| list.iter().any(|one| one == wanted))
}
