//! The tool calls of a session: claimed, run, and their results given to the model.

use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{ToolCall, ToolClaim, ToolClaimResult, ToolResult};
use hooks_openai::{Command, Item, SidebandError};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::live::{Live, publish};
use super::{Services, key};
use crate::host::Start;
use crate::settings::ToolKind;
use crate::tools::{Job, failed};

/// Longest id of a tool call: it is a part of a key.
const MAX_ID: usize = 256;

/// Longest arguments, in bytes.
const MAX_ARGUMENTS: usize = 64 * 1024;

/// Time by which a claim outlasts its tool, in milliseconds: the clocks of two supervisors may differ a little.
const CLAIM_MARGIN_MS: i64 = 2_000;

/// Pause before the ledger is tried again.
const LEDGER_PAUSE: Duration = Duration::from_millis(500);

/// Time for which the result of a tool that was run is tried to be kept.
const KEEP_TIME: Duration = Duration::from_secs(20);

/// Time for which people may give the result of a tool that the policy does not have.
const PEOPLE_TIME: Duration = Duration::from_secs(30);

/// Number of attempts to give a result.
const MAX_GIVEN: u8 = 3;

/// Time after which another supervisor gives a result that this one was giving, in milliseconds. It outlasts an attempt.
const GIVE_MS: i64 = 5_000;

/// Time after a hand-over in which calls may appear that the predecessor claimed at last.
const ADOPT_TIME: Duration = Duration::from_secs(15);

/// What the model hears of a tool that a supervisor had started when it died.
const LOST: &str =
    "The tool was started, and its result was lost. It may have been done or not. Do not call it again unasked.";

/// What became of a tool call.
pub(super) enum ToolEnd {
    /// It was run here.
    Finished { call_id: String, name: String, result: ToolResult },
    /// It was claimed before.
    Known(ToolCall),
    /// It was run here, and another supervisor has answered for it.
    Elsewhere(String),
    /// It is claimed, and the session itself does it. `resumed` after another supervisor.
    Own { claim: ToolClaim, call_id: String, name: String, arguments: String, resumed: bool },
}

/// A transfer that is under way.
pub(super) struct Transferring {
    pub(super) claim: ToolClaim,
    pub(super) call_id: String,
    /// When it must have ended the session.
    pub(super) until: Instant,
    pub(super) tried_fallback: bool,
}

impl Live<'_> {
    /// A tool is called. The same call may be told several times.
    pub(super) fn tool_called(&mut self, call_id: &str, name: &str, arguments: &str) {
        if self.seen.contains(call_id) {
            return;
        }
        if call_id.is_empty() || call_id.len() > MAX_ID {
            tracing::warn!(bytes = call_id.len(), "the id of a tool call is not usable; it is ignored");
            return;
        }
        self.seen.insert(call_id.to_owned());
        self.outstanding.insert(call_id.to_owned(), name.to_owned());
        if arguments.len() > MAX_ARGUMENTS {
            let result = failed(&format!("The arguments have more than {MAX_ARGUMENTS} bytes. Nothing was done."));
            self.results.push_back((call_id.to_owned(), result, 0));
            return;
        }
        let tool = ToolKind::named(name, &self.settings);
        if let Some(tool) = tool.as_ref().filter(|tool| !tool.is_of_session()) {
            self.expect_to_wait(tool.while_slow());
        }
        let call = Called { call_id: call_id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() };
        self.run_tool(call, tool, None);
    }

    fn run_tool(&mut self, call: Called, tool: Option<ToolKind>, found: Option<ToolCall>) {
        let time = tool.as_ref().map_or(PEOPLE_TIME, |tool| tool.time(&self.settings));
        let job = Running {
            services: self.services.clone(),
            start: self.start.clone(),
            caller: self.record.caller.clone(),
            call,
            tool,
            time,
            found,
        };
        self.running.spawn(job.run());
    }

    pub(super) async fn tool_ended(&mut self, ended: ToolEnd) -> Result<(), AwsError> {
        match ended {
            ToolEnd::Finished { call_id, name, result } => {
                let text = format!("{name}: {}", if result.is_success { "done" } else { "failed" });
                self.transcript.write("tool", &text, format!("tool/{call_id}")).await;
                self.results.push_back((call_id, result, 0));
            }
            ToolEnd::Known(call) => self.known(call),
            ToolEnd::Elsewhere(call_id) => {
                self.elsewhere.insert(call_id);
            }
            ToolEnd::Own { claim, call_id, name, arguments, resumed } => {
                self.own_tool(claim, call_id, &name, &arguments, resumed).await?;
            }
        }
        Ok(())
    }

    /// Takes over what others have claimed.
    pub(super) async fn take_over_tools(&mut self) -> Result<(), AwsError> {
        self.adopt_until = Some(Instant::now() + ADOPT_TIME);
        self.adopt_tools().await
    }

    async fn adopt_tools(&mut self) -> Result<(), AwsError> {
        for call in self.services.ledger.tool_calls(self.key()).await? {
            if self.seen.insert(call.call_id.clone()) {
                self.outstanding.insert(call.call_id.clone(), call.name.clone());
                self.known(call);
            } else if self.elsewhere.contains(&call.call_id) {
                self.known(call);
            }
        }
        Ok(())
    }

    fn known(&mut self, call: ToolCall) {
        self.elsewhere.remove(&call.call_id);
        if call.given {
            self.outstanding.remove(&call.call_id);
        } else if let Some(result) = call.result {
            self.results.push_back((call.call_id, result, 0));
        } else if call.run_until.saturating_add(CLAIM_MARGIN_MS) < now_ms() {
            // Whoever claimed it is dead, or has given it back.
            let tool = ToolKind::named(&call.name, &self.settings);
            let again =
                Called { call_id: call.call_id.clone(), name: call.name.clone(), arguments: call.arguments.clone() };
            self.run_tool(again, tool, Some(call));
        } else {
            self.elsewhere.insert(call.call_id);
        }
    }

    /// Looks after calls that wait: for another supervisor, for the caller, for a transfer, for people.
    pub(super) async fn look_after_tools(&mut self) -> Result<(), AwsError> {
        let now = Instant::now();
        if self.adopt_until.is_some_and(|until| now >= until) {
            self.adopt_until = None;
        }
        self.note_all_given().await;
        if (self.adopt_until.is_some() || !self.elsewhere.is_empty())
            && let Err(error) = self.adopt_tools().await
        {
            tracing::warn!("{error}; it is tried again");
        }
        let late: Vec<String> =
            self.for_people.iter().filter(|(_, (_, at))| now >= *at).map(|(id, _)| id.clone()).collect();
        for call_id in late {
            if let Some((claim, _)) = self.for_people.remove(&call_id) {
                self.finish_own(&claim, call_id, failed("Nobody answered this call of a tool in time.")).await;
            }
        }
        if let Some(digits) = self.collecting.as_ref().and_then(crate::digits::Collecting::tick) {
            self.collected(digits).await;
        }
        self.check_transfer().await;
        Ok(())
    }

    pub(super) async fn key_pressed(&mut self, pressed: &str) -> Result<(), AwsError> {
        if let Some(digits) = self.collecting.as_mut().and_then(|collecting| collecting.key(pressed)) {
            self.collected(digits).await;
        }
        Ok(())
    }

    async fn collected(&mut self, digits: String) {
        if let Some(collecting) = self.collecting.take() {
            let is_success = !digits.is_empty();
            let output = if is_success { json!({"digits": digits}) } else { json!({"error": "Nothing was entered."}) };
            let result = ToolResult { is_success, output: output.to_string() };
            self.finish_own(&collecting.claim, collecting.call_id, result).await;
        }
    }

    /// Keeps the result of a call that the session itself does.
    pub(super) async fn finish_own(&mut self, claim: &ToolClaim, call_id: String, result: ToolResult) {
        let name = self.outstanding.get(&call_id).cloned().unwrap_or_default();
        if keep_result(self.services, claim, &result).await {
            publish_run(self.services, self.start, &call_id, &name, result.is_success).await;
            let text = format!("{name}: {}", if result.is_success { "done" } else { "failed" });
            self.transcript.write("tool", &text, format!("tool/{call_id}")).await;
            self.results.push_back((call_id, result, 0));
        } else {
            self.elsewhere.insert(call_id);
        }
    }

    /// Gives the model the results that there are, and has it go on once no call of it waits.
    pub(super) async fn give_results(&mut self) -> Result<(), AwsError> {
        while self.has_lease()
            && let Some((call_id, result, attempts)) = self.results.pop_front()
        {
            // A predecessor must not give what its successor gives.
            match self.services.ledger.give_tool(self.key(), &call_id, self.hold.generation, now_ms() + GIVE_MS).await {
                Ok(true) => {}
                Ok(false) => {
                    self.elsewhere.insert(call_id);
                    continue;
                }
                Err(error) => tracing::warn!("{error}; the result is given all the same"),
            }
            let item = Item::FunctionResult { call_id: call_id.clone(), output: result.output.as_str().into() };
            match self.request(Command::Add(item)).await {
                Ok(()) => {}
                Err(SidebandError::Refused(refusal)) => tracing::warn!("the result of a tool was refused: {refusal}"),
                Err(SidebandError::Disconnected(error)) => {
                    tracing::warn!("{error}; the result of the tool is given again");
                    self.results.push_front((call_id, result, attempts));
                    return Ok(());
                }
                Err(error) if attempts + 1 < MAX_GIVEN => {
                    tracing::warn!("{error}; the result of the tool is given again");
                    self.results.push_back((call_id, result, attempts + 1));
                    return Ok(());
                }
                Err(error) => tracing::error!("{error}; the model may lack the result of a tool"),
            }
            self.outstanding.remove(&call_id);
            self.note_given(call_id).await;
            if self.outstanding.is_empty() {
                (self.respond, self.wait_message) = (true, None);
            }
        }
        Ok(())
    }

    /// Notes that the model has a result. A successor would give it again, or, where it was not kept, call it lost.
    async fn note_given(&mut self, call_id: String) {
        if let Err(error) = self.services.ledger.tool_given(self.key(), &call_id).await {
            tracing::warn!("{error}; it is tried again");
            self.given.push(call_id);
        }
    }

    async fn note_all_given(&mut self) {
        for call_id in std::mem::take(&mut self.given) {
            self.note_given(call_id).await;
        }
    }

    async fn own_tool(
        &mut self,
        claim: ToolClaim,
        call_id: String,
        name: &str,
        arguments: &str,
        resumed: bool,
    ) -> Result<(), AwsError> {
        match ToolKind::named(name, &self.settings) {
            Some(ToolKind::HangUp) => {
                keep_result(self.services, &claim, &ToolResult { is_success: true, output: "{}".to_owned() }).await;
                publish_run(self.services, self.start, &call_id, name, true).await;
                self.hang_up("hung_up", None);
                // A successor hangs up as well; where it cannot know of it, it gives the result.
                if self.keep().await {
                    self.services.ledger.tool_given(self.key(), &call_id).await?;
                }
                self.outstanding.remove(&call_id);
            }
            Some(ToolKind::CollectDigits) if self.collecting.is_some() => {
                self.finish_own(&claim, call_id, failed("Digits are being collected already.")).await;
            }
            Some(ToolKind::CollectDigits) => {
                let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
                let length = arguments.get("length").and_then(Value::as_u64).and_then(|length| length.try_into().ok());
                self.collecting = Some(crate::digits::Collecting::new(claim, call_id, length));
            }
            Some(ToolKind::Transfer) => self.begin_transfer(claim, call_id, arguments, resumed).await,
            _ => {
                self.for_people.insert(call_id, (claim, Instant::now() + PEOPLE_TIME));
            }
        }
        Ok(())
    }

    /// Gives back what only the holder of the session can do.
    pub(super) async fn stop_here(&mut self) {
        self.note_all_given().await;
        let mut claims: Vec<ToolClaim> =
            std::mem::take(&mut self.for_people).into_values().map(|(claim, _)| claim).collect();
        claims.extend(self.collecting.take().map(|collecting| collecting.claim));
        claims.extend(self.transfer.take().map(|transfer| transfer.claim));
        for claim in claims {
            if let Err(error) = self.services.ledger.release_tool(&claim).await {
                tracing::warn!("{error}; the successor waits for its time to end");
            }
        }
    }

    /// Waits for the tools that run here. Their results are kept; whoever holds the session gives them.
    pub(super) async fn finish_tools(&mut self) {
        let until = Instant::now() + Duration::from_secs(70);
        while let Ok(Some(ended)) = timeout_at(until, self.running.join_next()).await {
            if let Ok(ToolEnd::Own { claim, .. }) = ended {
                let _ = self.services.ledger.release_tool(&claim).await;
            }
        }
    }
}

struct Called {
    call_id: String,
    name: String,
    arguments: String,
}

/// A tool call on its way.
struct Running {
    services: Services,
    start: Start,
    caller: Option<String>,
    call: Called,
    tool: Option<ToolKind>,
    time: Duration,
    /// Claim of a supervisor that died, or has given it back.
    found: Option<ToolCall>,
}

impl Running {
    /// Claims the call, and runs it if the claim is granted: once, whoever else may see it.
    async fn run(self) -> ToolEnd {
        let (claim, until) = match self.claim().await {
            (ToolClaimResult::Granted(claim), until) => (claim, until),
            (ToolClaimResult::Known(known), _) => return ToolEnd::Known(known),
        };
        let Self { services, start, caller, call: Called { call_id, name, arguments }, tool, found, .. } = self;
        let Some(tool) = tool.filter(|tool| !tool.is_of_session()) else {
            return ToolEnd::Own { claim, call_id, name, arguments, resumed: found.is_some() };
        };
        let result = if found.is_none() || tool.may_repeat() {
            let (api, session) = (start.api.as_str().to_owned(), start.id.clone());
            let job = Job { api, session, call_id: call_id.clone(), arguments, caller, name: name.clone(), tool };
            services.tools.run(&job, until).await
        } else {
            failed(LOST)
        };
        if !keep_result(&services, &claim, &result).await {
            tracing::warn!("another supervisor has answered for a tool that ran here");
            return ToolEnd::Elsewhere(call_id);
        }
        publish_run(&services, &start, &call_id, &name, result.is_success).await;
        ToolEnd::Finished { call_id, name, result }
    }

    /// Claims it. The tool must have ended by the time that is returned.
    async fn claim(&self) -> (ToolClaimResult, Instant) {
        let Self { services, start, call, found, .. } = self;
        let session = key(start.api, &start.id);
        loop {
            let until = Instant::now() + self.time;
            let time = i64::try_from(self.time.as_millis()).unwrap_or(i64::MAX);
            let run_until = now_ms().saturating_add(time).saturating_add(CLAIM_MARGIN_MS);
            let claimed = match found {
                Some(found) => services.ledger.reclaim_tool(session, found, run_until).await,
                None => {
                    services.ledger.claim_tool(session, &call.call_id, &call.name, &call.arguments, run_until).await
                }
            };
            match claimed {
                Ok(result) => return (result, until),
                Err(error) => tracing::warn!("{error}; it is tried again"),
            }
            sleep(LEDGER_PAUSE).await;
        }
    }
}

/// Keeps a result. `false`: another one has been kept.
async fn keep_result(services: &Services, claim: &ToolClaim, result: &ToolResult) -> bool {
    let until = Instant::now() + KEEP_TIME;
    loop {
        match services.ledger.finish_tool(claim, result).await {
            Ok(kept) => return kept,
            Err(error) if Instant::now() >= until => {
                tracing::error!("{error}; the result is given but not kept");
                return true;
            }
            Err(error) => tracing::warn!("{error}; it is tried again"),
        }
        sleep(LEDGER_PAUSE).await;
    }
}

async fn publish_run(services: &Services, start: &Start, call_id: &str, name: &str, is_success: bool) {
    let status = if is_success { "done" } else { "failed" };
    let summary = json!({"tool": name, "call_id": call_id});
    publish(services, start, "call.tool_run", Some(call_id), status, summary).await;
}
