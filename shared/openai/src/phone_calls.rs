//! Actions on a phone call, and sessions that begin with a request.
//!
//! No action is idempotent: OpenAI refuses the second one. A success has no body. A session that is created twice is two.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hooks_webhook::{CallApi, Json};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{text, time};

/// The timeout of an action. A caller is waiting, so a call without an answer is better repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// A Live session that was created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveSession {
    /// `live_...`
    pub id: String,
    /// The transport as OpenAI answered it: the SDP answer of a WebRTC session.
    pub transport: Value,
}

/// A secret with which a browser may begin one Realtime session.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientSecret {
    /// `ek_...`
    pub value: String,
    /// When it expires, in seconds since the epoch.
    pub expires_at: Option<i64>,
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

const fn path<'a>(api: CallApi, id: &'a str, action: &'a str) -> [&'a str; 4] {
    match api {
        CallApi::Realtime => ["realtime", "calls", id, action],
        CallApi::Live => ["live", "sessions", id, action],
    }
}

impl Client {
    /// Accepts a call with a session of this configuration, which needs a `model`. Its `type` is set here.
    pub async fn accept_call(
        &self,
        api: CallApi,
        id: &str,
        mut session: Map<String, Value>,
        deadline: Instant,
    ) -> Result<(), OpenAiError> {
        session.insert("type".to_owned(), api.as_str().into());
        let body = match api {
            CallApi::Realtime => Value::Object(session),
            CallApi::Live => json!({ "session": session }),
        };
        self.control_call("accept call", &path(api, id, "accept"), Some(&body), deadline).await
    }

    /// Rejects a call with a SIP status from 300 to 699, such as 486 (busy) or 603 (decline).
    pub async fn reject_call(
        &self,
        api: CallApi,
        id: &str,
        status_code: u16,
        deadline: Instant,
    ) -> Result<(), OpenAiError> {
        let body = json!({ "status_code": status_code });
        self.control_call("reject call", &path(api, id, "reject"), Some(&body), deadline).await
    }

    /// Refers a call to a `tel:` or `sip:` URI.
    pub async fn refer_call(
        &self,
        api: CallApi,
        id: &str,
        target_uri: &str,
        deadline: Instant,
    ) -> Result<(), OpenAiError> {
        let body = json!({ "target_uri": target_uri });
        self.control_call("refer call", &path(api, id, "refer"), Some(&body), deadline).await
    }

    /// Hangs up a call.
    pub async fn hangup_call(&self, api: CallApi, id: &str, deadline: Instant) -> Result<(), OpenAiError> {
        self.control_call("hang up call", &path(api, id, "hangup"), None, deadline).await
    }

    /// Creates a Live session: `POST /live/sessions`. `transport` is `{"type": "webrtc", "sdp": ...}` or
    /// `{"type": "sip", ...}`, a call that OpenAI makes, where the organization may (403 otherwise). Not idempotent.
    pub async fn create_live_session(
        &self,
        mut session: Map<String, Value>,
        transport: &Value,
        deadline: Instant,
    ) -> Result<LiveSession, OpenAiError> {
        session.insert("type".to_owned(), CallApi::Live.as_str().into());
        let body = json!({"session": session, "transport": transport});
        let answer = self.post(Call::new("create session", &["live", "sessions"]), Some(&body), deadline).await?;
        answer.read("a session", LiveSession::from_json)
    }

    /// Makes a secret for one Realtime session over WebRTC: `POST /realtime/client_secrets`.
    pub async fn create_client_secret(
        &self,
        mut session: Map<String, Value>,
        deadline: Instant,
    ) -> Result<ClientSecret, OpenAiError> {
        session.insert("type".to_owned(), CallApi::Realtime.as_str().into());
        let call = Call::new("create client secret", &["realtime", "client_secrets"]);
        let answer = self.post(call, Some(&json!({ "session": session })), deadline).await?;
        answer.read("a client secret", ClientSecret::from_json)
    }

    async fn control_call(
        &self,
        name: &'static str,
        path: &[&str],
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<(), OpenAiError> {
        let call = Call { timeout: CALL_TIMEOUT, ..Call::new(name, path) };
        self.post(call, body, deadline).await.map(|_| ())
    }
}

impl LiveSession {
    /// `None` without an id.
    #[expect(clippy::needless_pass_by_value, reason = "as of every object")]
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        let id = raw.at("/session/id")?.text()?.into_owned();
        Some(Self { id, transport: raw.at("/transport").and_then(Json::value).unwrap_or_default() })
    }
}

impl ClientSecret {
    /// `None` without a value.
    #[expect(clippy::needless_pass_by_value, reason = "as of every object")]
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self { value: text(raw, "value")?, expires_at: time(raw, "expires_at") })
    }
}
