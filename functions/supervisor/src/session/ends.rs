//! Ends of a session that are brought about here: hanging up, a transfer, a limit.

use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{ToolClaim, ToolResult};
use hooks_openai::OpenAiError;
use hooks_policy::Fallback;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::live::{Live, Next};
use super::tool_calls::Transferring;
use crate::limits::LimitAction;
use crate::records;
use crate::settings::check_time;
use crate::tools::failed;

/// Time for the last words before a call is hung up. A Realtime session says when they were heard.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// Time after which hanging up is tried again.
const HANG_UP_AGAIN: Duration = Duration::from_secs(3);

/// Number of times that hanging up is tried.
const MAX_HANG_UPS: u8 = 5;

/// Time limit of a request.
const REQUEST_TIME: Duration = Duration::from_secs(4);

impl Live<'_> {
    /// Hangs up after the last words. The first reason stays.
    pub(super) fn hang_up(&mut self, reason: &str, farewell: Option<&str>) {
        if self.reason.is_some() {
            return;
        }
        self.reason = Some(reason.to_owned());
        self.progress.insert("hang_up".to_owned(), reason.into());
        if let Some(farewell) = farewell {
            self.say(farewell);
        }
        self.hang_up_at = Some(Instant::now() + LAST_WORDS);
    }

    pub(super) async fn hang_up_if_due(&mut self) -> Result<Next, AwsError> {
        if self.hang_up_at.is_none_or(|at| Instant::now() < at) {
            return Ok(Next::GoOn);
        }
        self.hang_ups += 1;
        let request = self.client.hangup_call(self.start.api, &self.start.id, Instant::now() + REQUEST_TIME);
        // Not even a 404 ends the session: its connection says when it is over.
        if let Err(error) = request.await {
            tracing::warn!("{error}; it is tried again");
        }
        if self.hang_ups >= MAX_HANG_UPS {
            tracing::error!("the call was hung up, and its session does not end");
            return Ok(Next::Ended("hung_up".to_owned()));
        }
        self.hang_up_at = Some(Instant::now() + HANG_UP_AGAIN);
        Ok(Next::GoOn)
    }

    pub(super) async fn check_limits(&mut self) -> Result<(), AwsError> {
        if self.reason.is_some() || self.transfer.is_some() {
            return Ok(());
        }
        if self.is_ringing() {
            self.limits.caller_active(now_ms());
        }
        let cost = self.usage.cost_usd(self.start.api).unwrap_or_default();
        match self.limits.check(now_ms(), cost) {
            Some(LimitAction::Warn(text)) => {
                self.transcript
                    .write("supervisor", "The caller is asked whether somebody is there.", unique("idle"))
                    .await;
                self.say(&text);
            }
            Some(LimitAction::End(reason)) => {
                self.transcript
                    .write("supervisor", &format!("A limit ends the call: {reason}."), unique("limit"))
                    .await;
                let farewell = self.settings.limits.farewell.clone();
                self.hang_up(reason, Some(&farewell));
            }
            None => {}
        }
        Ok(())
    }

    // Transfer --------------------------------------------------------------------------------------------------------

    pub(super) async fn begin_transfer(&mut self, claim: ToolClaim, call_id: String, arguments: &str, resumed: bool) {
        let begun = self.progress.get("transfer").filter(|begun| begun["call_id"] == call_id.as_str());
        if let Some(begun) = begun.filter(|_| resumed) {
            // A refer may have been sent: whether it did anything shows by its time.
            let left = begun["until"].as_i64().unwrap_or_default().saturating_sub(now_ms());
            let until = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
            let tried_fallback = begun["fallback"].as_bool().unwrap_or_default();
            self.transfer = Some(Transferring { claim, call_id, until, tried_fallback });
            return;
        }
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let asked = arguments.get("target").and_then(Value::as_str);
        let targets = self.settings.transfer.as_ref().map(|transfer| transfer.targets.as_slice()).unwrap_or_default();
        let target = match (asked, targets) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), _) => targets.iter().find(|target| target.name == name),
        };
        let target = target.map(|target| target.target_uri.clone());
        let result = match target {
            _ if self.transfer.is_some() => Err("The caller is being transferred already.".to_owned()),
            None => {
                let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
                Err(format!("There is no such target. The targets are: {}.", names.join(", ")))
            }
            Some(target) => Ok(target),
        };
        match result {
            Err(message) => self.finish_own(&claim, call_id, failed(&message)).await,
            Ok(target) => {
                let until = Instant::now();
                self.transfer = Some(Transferring { claim, call_id, until, tried_fallback: false });
                self.refer(&target).await;
            }
        }
    }

    /// Notes the transfer and sends it. A successor does not send it again.
    async fn refer(&mut self, target: &str) {
        let time = check_time(&self.settings);
        let Some(transfer) = &mut self.transfer else { return };
        transfer.until = Instant::now() + time;
        let until = now_ms() + i64::try_from(time.as_millis()).unwrap_or_default();
        let begun = json!({"call_id": transfer.call_id, "until": until, "fallback": transfer.tried_fallback});
        self.progress.insert("transfer".to_owned(), begun);
        // What is not noted is not sent: a successor would send it again.
        if !self.keep().await {
            if let Some(transfer) = &mut self.transfer {
                transfer.until = Instant::now();
            }
            return;
        }
        let request = self.client.refer_call(self.start.api, &self.start.id, target, Instant::now() + REQUEST_TIME);
        if let Err(error) = request.await {
            tracing::warn!("{}", named(&error));
            if let Some(transfer) = &mut self.transfer {
                transfer.until = Instant::now();
            }
        }
    }

    /// A transfer whose session has not ended in time has failed.
    pub(super) async fn check_transfer(&mut self) {
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| Instant::now() >= transfer.until) else { return };
        let fallback = self.settings.transfer.as_ref().map(|transfer| transfer.fallback.clone()).unwrap_or_default();
        if let Fallback::Refer(target) = &fallback
            && !transfer.tried_fallback
        {
            tracing::warn!("the transfer did not happen; the fallback is tried");
            transfer.tried_fallback = true;
            self.refer(target).await;
            return;
        }
        let Some(Transferring { claim, call_id, .. }) = self.transfer.take() else { return };
        self.progress.remove("transfer");
        records::transfer_failed(self.services, self.start).await;
        let mut result = failed("The transfer did not happen. The caller is still here.");
        match fallback {
            Fallback::Say(text) => {
                result = failed(&format!("The transfer did not happen. The caller is still here and hears: {text}"));
                self.say(&text);
            }
            Fallback::HangUp => self.hang_up("transfer_failed", None),
            Fallback::Refer(_) => {}
        }
        self.finish_own(&claim, call_id, result).await;
    }

    /// The reason of the end, if it is known better here.
    pub(super) fn reason_of_end(&self, told: String) -> String {
        match &self.reason {
            Some(reason) => reason.clone(),
            None if self.transfer.is_some() => "transferred".to_owned(),
            None => told,
        }
    }

    pub(super) async fn note_transferred(&mut self, reason: &str) {
        let Some(transfer) = self.transfer.take() else { return };
        if reason != "transferred" {
            return;
        }
        let result = ToolResult { is_success: true, output: json!({"transferred": true}).to_string() };
        self.finish_own(&transfer.claim, transfer.call_id, result).await;
        self.publish("call.transferred", "transferred", json!({"fallback": transfer.tried_fallback})).await;
    }
}

/// The error without the message of OpenAI, which may quote the target's number.
fn named(error: &OpenAiError) -> String {
    error.status().map_or_else(
        || "the transfer got no answer".to_owned(),
        |status| format!("the transfer was answered with status {status}"),
    )
}

fn unique(kind: &str) -> String {
    format!("{kind}/{}", now_ms())
}
