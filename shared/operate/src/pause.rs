//! Categories off and on: the event source mapping between a queue and its function.
//!
//! Events of a paused category wait in their queue, for 14 days at most. Nothing else changes: the verifier accepts and
//! queues deliveries. A deployment leaves a mapping as it is, unless it changes the category's own parameters.
//!
//! # Permissions
//!
//! `lambda:ListEventSourceMappings`, `lambda:GetEventSourceMapping` and `lambda:UpdateEventSourceMapping`.

use std::time::Duration;

use aws_sdk_lambda::Client;
use hooks_aws::Config;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::error::{OperateError, Result, failed};

/// Time limit of a change. Lambda takes some seconds.
const SETTLED_TIMEOUT: Duration = Duration::from_mins(2);

/// Pause between two looks at a change.
const INTERVAL: Duration = Duration::from_millis(500);

const PERMISSIONS: &str = "Your AWS identity needs lambda:ListEventSourceMappings, lambda:GetEventSourceMapping and \
                           lambda:UpdateEventSourceMapping.";

/// Whether a category's events are handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceState {
    /// Id of the event source mapping.
    pub id: String,
    /// Lambda's state: `Enabled`, `Disabled`, or one on the way there, such as `Disabling`.
    pub state: String,
}

impl SourceState {
    /// Whether events are handled, or will be in a moment.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self.state.as_str(), "Enabled" | "Enabling" | "Creating" | "Updating")
    }

    fn is_settled(&self) -> bool {
        matches!(self.state.as_str(), "Enabled" | "Disabled")
    }
}

/// The state of the mapping between a queue and a function, both given by their names.
pub async fn source_state(config: &Config, function: &str, queue: &str) -> Result<SourceState> {
    let client = Client::new(config.sdk());
    let mut pages = client.list_event_source_mappings().function_name(function).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("look up the event source", &error, PERMISSIONS))?;
        for mapping in page.event_source_mappings.unwrap_or_default() {
            let is_queue = mapping.event_source_arn.as_deref().is_some_and(|arn| arn.rsplit(':').next() == Some(queue));
            if let Some(id) = mapping.uuid.filter(|_| is_queue) {
                return Ok(SourceState { id, state: mapping.state.unwrap_or_default() });
            }
        }
    }
    Err(OperateError::failed(format!("the function {function} has no event source for the queue {queue}"))
        .hint("Deploy the stack again: `make deploy`."))
}

/// Switches a mapping on or off, and waits until that has taken effect.
pub async fn switch(config: &Config, source: &SourceState, on: bool) -> Result<SourceState> {
    let client = Client::new(config.sdk());
    let until = Instant::now() + SETTLED_TIMEOUT;
    let changed = client.update_event_source_mapping().uuid(&source.id).enabled(on).send().await;
    let changed = changed.map_err(|error| failed("switch the event source", &error, PERMISSIONS))?;
    let mut now = SourceState { id: source.id.clone(), state: changed.state.unwrap_or_default() };
    while !now.is_settled() || now.is_on() != on {
        if Instant::now() >= until {
            return Err(OperateError::service(format!("the event source is still {} after two minutes", now.state))
                .hint("Look again in a moment: `openai-webhooks status`."));
        }
        sleep(INTERVAL).await;
        let found = client.get_event_source_mapping().uuid(&source.id).send().await;
        let found = found.map_err(|error| failed("look up the event source", &error, PERMISSIONS))?;
        now.state = found.state.unwrap_or_default();
    }
    Ok(now)
}
