//! Actions on an incoming phone call.
//!
//! No action is idempotent: OpenAI refuses the second one. A success has no body.

use std::time::Duration;

use hooks_webhook::CallApi;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;

/// The timeout of an action. A caller is waiting, so a call without an answer is better repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

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
