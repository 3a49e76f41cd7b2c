//! Lines of the functions' logs in CloudWatch.

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError;
use hooks_aws::Config;
use serde_json::{Map, Value};

use crate::error::{OperateError, Result, failed};
use crate::event_log::Entry;
use crate::timestamp::Timestamp;

/// The functions' names behind the stack's, and the HTTP API's log.
pub const FUNCTIONS: [&str; 15] = [
    "verifier",
    "batch",
    "response",
    "fine-tuning",
    "realtime",
    "supervisor",
    "agent",
    "safety",
    "file",
    "archive",
    "reconcile",
    "register",
    "rotate",
    "console",
    "api",
];

/// The log group's name begins so; API Gateway's own differs.
const PREFIX: &str = "/aws/lambda/";

const PERMISSION: &str = "Your AWS identity needs logs:FilterLogEvents on the function's log group.";

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogLine {
    /// CloudWatch's id.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// Text as it was written.
    pub text: String,
}

/// A function's log, or an event's part of it.
#[derive(Clone)]
pub struct FunctionLog {
    client: Client,
    group: String,
    /// Each line has one of them, if there are any.
    texts: Vec<String>,
}

impl LogLine {
    /// The fields of a line that is a JSON object, as those of our functions are.
    #[must_use]
    pub fn fields(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(self.text.trim_end()).ok()
    }
}

impl FunctionLog {
    /// The log of a function of a stack, by one of [`FUNCTIONS`].
    #[must_use]
    pub fn new(aws: &Config, stack: &str, function: &str) -> Self {
        let group = match function {
            "api" => format!("/aws/vendedlogs/{stack}/api"),
            function => format!("{PREFIX}{stack}-{function}"),
        };
        Self { client: Client::new(aws.sdk()), group, texts: Vec::new() }
    }

    /// Only the lines about an event.
    #[must_use]
    pub fn about(self, event: &Entry) -> Self {
        let ids = [&event.webhook_id, &event.event_id];
        Self { texts: ids.into_iter().filter(|id| !id.is_empty()).cloned().collect(), ..self }
    }

    /// Only the lines with a text.
    #[must_use]
    pub fn saying(self, text: &str) -> Self {
        Self { texts: vec![text.to_owned()], ..self }
    }

    /// The lines since then and until then, in milliseconds since the Unix epoch, oldest first; `pages` of CloudWatch's at
    /// most. Needs `logs:FilterLogEvents`.
    ///
    /// # Errors
    ///
    /// There is no such log group: the function is not deployed, or has never run.
    pub async fn lines(&self, since: i64, until: Option<i64>, pages: usize) -> Result<Vec<LogLine>> {
        let request = self.client.filter_log_events().log_group_name(&self.group).start_time(since);
        let mut request = request.set_end_time(until);
        // A quoted term matches any line that has it.
        match self.texts.as_slice() {
            [] => {}
            [text] => request = request.filter_pattern(format!("\"{text}\"")),
            texts => {
                let terms: Vec<String> = texts.iter().map(|text| format!("?\"{text}\"")).collect();
                request = request.filter_pattern(terms.join(" "));
            }
        }
        let mut stream = request.into_paginator().send();
        let (mut lines, mut read) = (Vec::new(), 0);
        while read < pages
            && let Some(page) = stream.next().await
        {
            read += 1;
            let page = page.map_err(|error| {
                if error.as_service_error().is_some_and(FilterLogEventsError::is_resource_not_found_exception) {
                    return OperateError::failed(format!("there is no log group {}", self.group))
                        .hint("A function that is not deployed has none, such as register without RegisterEndpoint.");
                }
                failed("read the log", &error, PERMISSION)
            })?;
            lines.extend(page.events.unwrap_or_default().into_iter().map(|line| LogLine {
                id: line.event_id.unwrap_or_default(),
                at: Timestamp(line.timestamp.unwrap_or_default()),
                text: line.message.unwrap_or_default(),
            }));
        }
        lines.retain(|line| self.texts.is_empty() || self.texts.iter().any(|text| line.text.contains(text)));
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}
