//! The command that brings a background response to its end, and sends its webhook.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Response, Status, message};
use crate::app::Shared;
use crate::errors::{ControlError, Failure};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    status: Status,
    /// `null` leaves the text out, so that a refusal stands alone.
    #[serde(default = "crate::responses::usual_text")]
    text: Option<String>,
    refusal: Option<String>,
    /// Instead of a message with the two above.
    output: Option<Vec<Value>>,
    error: Option<Failure>,
    incomplete_reason: Option<String>,
    /// Instead of the derived one.
    usage: Option<Map<String, Value>>,
    /// Set last, as they stand.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

pub(super) async fn finish(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Json(command): Json<Finish>,
) -> Result<Json<Value>, ControlError> {
    let deliver = command.deliver;
    let response = app
        .responses
        .update(&id, |response| command.apply(response).map(|()| response.clone()))
        .ok_or_else(|| ControlError::not_found(format!("no response {id}")))??;
    let deliveries = if deliver { response.deliver(&app.webhooks) } else { Vec::new() };
    Ok(Json(json!({ "response": response, "deliveries": deliveries })))
}

impl Finish {
    fn apply(self, response: &mut Response) -> Result<(), ControlError> {
        let (current, next) = (response.status.as_str(), self.status.as_str());
        if response.status != Status::Queued {
            return Err(ControlError::conflict(format!("the response is {current}; it can't become {next}")));
        }
        let usage = self.usage.map(Value::Object);
        match (self.output, self.status) {
            (Some(output), _) => response.answer(output, usage),
            (None, Status::Completed | Status::Incomplete) => {
                let message = message(self.status, self.text.as_deref(), self.refusal.as_deref());
                response.answer(vec![message], usage);
            }
            // A response that failed or was cancelled has said nothing.
            (None, _) => response.set("usage", usage),
        }
        let error = self.error.or_else(|| {
            (self.status == Status::Failed).then(|| Failure::of_server("The model failed to generate a response."))
        });
        response.set("error", error.map(|error| json!(error)));
        let usual_reason = || (self.status == Status::Incomplete).then(|| "max_output_tokens".to_owned());
        let reason = self.incomplete_reason.or_else(usual_reason);
        response.set("incomplete_details", reason.map(|reason| json!({ "reason": reason })));
        response.reach(self.status);
        for (name, value) in self.fields {
            response.set(&name, value);
        }
        Ok(())
    }
}
