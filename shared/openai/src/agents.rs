//! Sessions of agents, their turns and environments, reduced to the fields that are used.
//!
//! Statuses are text: most are passed on only, and OpenAI may add more while the API is in beta.

use bytes::Bytes;
use hooks_webhook::Json;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{read_error, text, time};

pub(crate) const BETA: &str = "agents=v1";

/// A session of an agent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentSession {
    /// `sess_...`
    pub id: String,
    /// `idle`, `in_progress`, `requires_action` or `failed`, or a newer one.
    pub status: String,
    /// OpenAI's message on why it failed.
    pub error: Option<String>,
    /// `none`, `openai_hosted` or `self_hosted`, or a newer one.
    pub environment_type: Option<String>,
    /// `env_...`, if it has an environment.
    pub environment_id: Option<String>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// When it was last active, in seconds since the epoch.
    pub last_active_at: Option<i64>,
    /// The whole object, byte for byte. `environment.remote_url` may hold credentials.
    pub json: Bytes,
}

/// A turn of a session: an agent's work on one input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentTurn {
    /// `turn_...`
    pub id: String,
    /// `queued`, `in_progress`, `waiting`, `completed`, `failed` or `cancelled`, or a newer one.
    pub status: String,
    /// The error's code, such as `sandbox_error`, and its message.
    pub error: Option<(Option<String>, Option<String>)>,
}

/// The environment of a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentEnvironment {
    /// `env_...`
    pub id: String,
    /// `pending`, `ready`, `connected`, `disconnected`, `suspended`, `expired` or `failed`, or a newer one.
    pub status: String,
    /// `openai_hosted` or `self_hosted`, or a newer one.
    pub kind: Option<String>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

impl Client {
    /// Retrieves a session of an agent: `GET /agents/sessions/{id}`.
    pub async fn agent_session(&self, id: &str, deadline: Instant) -> Result<AgentSession, OpenAiError> {
        let path = ["agents", "sessions", id];
        let call = Call { beta: Some(BETA), ..Call::new("retrieve agent session", &path) };
        let answer = self.get(call, deadline).await?;
        answer.read("an agent session", AgentSession::from_json)
    }

    /// Retrieves the newest turn of a session, if it has any: `GET /agents/sessions/{id}/turns`.
    pub async fn last_agent_turn(&self, session_id: &str, deadline: Instant) -> Result<Option<AgentTurn>, OpenAiError> {
        let path = ["agents", "sessions", session_id, "turns"];
        let query = [("order", "desc"), ("limit", "1")];
        let call = Call { beta: Some(BETA), query: &query, ..Call::new("list agent turns", &path) };
        self.get(call, deadline).await?.read("a list of agent turns", |page| {
            match Json::of(&page).get("data").filter(|data| data.is_list())?.items().next() {
                Some(turn) => AgentTurn::from_json(turn).map(Some),
                None => Some(None),
            }
        })
    }

    /// Retrieves an environment of agents: `GET /agents/environments/{id}`.
    pub async fn agent_environment(&self, id: &str, deadline: Instant) -> Result<AgentEnvironment, OpenAiError> {
        let path = ["agents", "environments", id];
        let call = Call { beta: Some(BETA), ..Call::new("retrieve agent environment", &path) };
        let answer = self.get(call, deadline).await?;
        answer.read("an agent environment", AgentEnvironment::from_json)
    }
}

impl AgentSession {
    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> Json<'_> {
        Json::of(&self.json)
    }

    /// The actions that it waits for.
    #[must_use]
    pub fn required_actions(&self) -> Vec<Json<'_>> {
        self.raw().get("required_actions").into_iter().flat_map(Json::items).collect()
    }

    /// `None` without an id or a status.
    pub(crate) fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        let environment = raw.get("environment");
        Some(Self {
            id: text(raw, "id")?,
            status: text(raw, "status")?,
            error: text(raw, "error"),
            environment_type: environment.and_then(|environment| text(environment, "type")),
            environment_id: environment.and_then(|environment| text(environment, "id")),
            created_at: time(raw, "created_at"),
            last_active_at: time(raw, "last_active_at"),
            json,
        })
    }
}

impl AgentTurn {
    fn from_json(raw: Json<'_>) -> Option<Self> {
        Some(Self { id: text(raw, "id")?, status: text(raw, "status")?, error: read_error(raw.get("error")) })
    }
}

impl AgentEnvironment {
    /// `None` without an id or a status.
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self { id: text(raw, "id")?, status: text(raw, "status")?, kind: text(raw, "type"), json })
    }
}
