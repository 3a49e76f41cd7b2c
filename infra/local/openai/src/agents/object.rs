//! Sessions, turns and environments as OpenAI shows them.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::ids::{hex_id, now};
use crate::shelf::Identified;

/// A session: the object as OpenAI shows it, any field of which a command may have set, and what is known beside it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct Session {
    #[serde(skip)]
    pub(super) id: String,
    /// What was submitted, in order.
    #[serde(skip)]
    pub(super) submitted: Vec<Value>,
    /// The idempotency keys that were used.
    #[serde(skip)]
    pub(super) keys: HashSet<String>,
    /// An object.
    pub(super) shown: Value,
}

#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct Turn {
    #[serde(skip)]
    pub(super) id: String,
    #[serde(skip)]
    pub(super) session_id: String,
    pub(super) shown: Value,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Environment {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) r#type: String,
    pub(super) status: String,
    pub(super) files: [(); 0],
    pub(super) plugins: [(); 0],
    pub(super) skills: [(); 0],
}

impl Identified for Session {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Turn {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Environment {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Session {
    /// A session that works in the environment; without one its type is `none`.
    pub(super) fn new(id: String, environment: Option<&Environment>) -> Self {
        let shown = json!({
            "id": id,
            "object": "agent.session",
            "created_at": now(),
            "last_active_at": now(),
            "status": "idle",
            "error": null,
            "agent": {
                "id": hex_id("agent_"), "name": "Clerk", "model": "gpt-6-luna", "instructions": null,
                "multi_agent": { "enabled": false, "max_concurrent_subagents": null },
                "reasoning": { "effort": null, "summary": null },
                "service_tier": "auto",
                "text": { "format": { "type": "text" }, "verbosity": "medium" },
                "tools": [],
            },
            "environment": environment.map_or_else(|| json!({ "type": "none" }), Environment::within),
            "metadata": {},
            "required_actions": [],
            "usage": null,
            "vault_ids": [],
        });
        Self { id, submitted: Vec::new(), keys: HashSet::new(), shown }
    }

    pub(super) fn actions(&self) -> &[Value] {
        self.shown["required_actions"].as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn reach(&mut self, status: &str) {
        self.shown["status"] = status.into();
        self.shown["last_active_at"] = now().into();
    }

    /// The `data` of most of its webhook events.
    pub(super) fn data(&self) -> Value {
        let environment = &self.shown["environment"];
        let mut data = json!({ "id": self.id, "environment_type": environment["type"] });
        if environment["id"].is_string() {
            data["environment_id"] = environment["id"].clone();
        }
        data
    }
}

impl Turn {
    pub(super) fn new(session: &Session, status: &str, error: &Value) -> Self {
        let id = hex_id("turn_");
        let ended = matches!(status, "completed" | "failed" | "cancelled");
        let shown = json!({
            "id": id,
            "object": "agent.session.turn",
            "agent_id": session.shown["agent"]["id"],
            "session_id": session.id,
            "created_at": now(),
            "started_at": now(),
            "completed_at": ended.then(now),
            "status": status,
            "error": error,
            "subagent_id": null,
            "usage": null,
        });
        Self { id, session_id: session.id.clone(), shown }
    }
}

impl Environment {
    pub(super) fn new(id: String, r#type: String, status: String) -> Self {
        Self { id, object: "agent.environment", r#type, status, files: [], plugins: [], skills: [] }
    }

    /// As it is shown within a session.
    fn within(&self) -> Value {
        if self.r#type == "self_hosted" {
            return json!({
                "type": self.r#type, "id": self.id, "capability_directories": [],
                "remote_url": self.remote_url(), "workspace_directory": "/workspace",
            });
        }
        json!({
            "type": self.r#type, "id": self.id, "capability_directories": [], "files": [], "plugins": [], "skills": [],
            "network": { "access": "disabled", "allowed_domains": [] },
            "packages": { "npm": [], "python": [], "system": [] },
            "container_size": "small",
        })
    }

    /// With a credential in it, as OpenAI's may have.
    pub(super) fn remote_url(&self) -> String {
        format!("https://connect.example.com/{}?token=let-me-in", self.id)
    }
}
