//! The loop of a session that is attached.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{HoldResult, SessionHold, SessionRecord, ToolClaim, ToolResult};
use hooks_openai::{CallApi, Client, Sideband, SidebandError};
use hooks_policy::Supervise;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::tool_calls::{ToolEnd, Transferring};
use super::{Json, LEASE_MS, Leave, Services, Shift, end, key, leave};
use crate::digits::Collecting;
use crate::host::{STOP_TIME, Start};
use crate::limits::LimitState;
use crate::transcript::TranscriptWriter;
use crate::usage::Usage;

/// Period of the loop's own work. What people ask is read in it.
const TICK: Duration = Duration::from_millis(500);

/// Length of a lease.
const LEASE: Duration = Duration::from_millis(LEASE_MS.unsigned_abs());

/// Number of ticks after which the lease is renewed.
const TICKS_OF_RENEWAL: u32 = 6;

/// Time after which a successor that has not come is started again.
const SUCCESSOR_TIME: Duration = Duration::from_secs(20);

/// Time in which everything is read that came over a new connection.
const READ_TIME: Duration = Duration::from_millis(1_500);

/// Time for which a lost connection is tried to be opened again, at a time and in all.
const RECONNECT_TIME: Duration = Duration::from_secs(6);
const RECONNECT_ROUNDS: u32 = 5;

pub(super) struct Live<'a> {
    pub(super) services: &'a Services,
    pub(super) client: &'a Client,
    pub(super) start: &'a Start,
    pub(super) settings: Supervise,
    pub(super) hold: SessionHold,
    pub(super) record: SessionRecord,
    pub(super) sideband: Sideband,
    shift: Shift,
    /// Model of the session.
    pub(super) model: Option<String>,
    pub(super) usage: Usage,
    pub(super) limits: LimitState,
    pub(super) transcript: TranscriptWriter,
    /// Tools that run in this process.
    pub(super) running: JoinSet<ToolEnd>,
    /// Tool calls that were seen here.
    pub(super) seen: HashSet<String>,
    /// Tool calls without a result that the model has, by id: the name of the tool.
    pub(super) outstanding: HashMap<String, String>,
    /// Outstanding calls that another supervisor has claimed.
    pub(super) elsewhere: HashSet<String>,
    /// Until when calls may appear that the predecessor claimed at last.
    pub(super) adopt_until: Option<Instant>,
    /// Results that the model is to be given, and how often that was tried.
    pub(super) results: VecDeque<(String, ToolResult, u8)>,
    /// Calls whose result the model has, which could not be noted yet.
    pub(super) given: Vec<String>,
    /// Calls of tools that the policy does not have, for which people may give a result.
    pub(super) for_people: BTreeMap<String, (ToolClaim, Instant)>,
    pub(super) collecting: Option<Collecting>,
    pub(super) transfer: Option<Transferring>,
    /// When the caller hears that a tool is slow, and in which words.
    pub(super) wait_message: Option<(Instant, String)>,
    /// What is to be said once the model has finished.
    pub(super) to_say: VecDeque<String>,
    pub(super) response_active: bool,
    pub(super) respond: bool,
    /// When the call is hung up.
    pub(super) hang_up_at: Option<Instant>,
    /// Number of times that it was.
    pub(super) hang_ups: u8,
    /// Why the session ends, if that is known before it does.
    pub(super) reason: Option<String>,
    pub(super) superseded: bool,
    /// When the model is asked to call again what it waits for.
    ask_again_at: Option<Instant>,
    /// When the lease was last renewed.
    kept_at: Instant,
    ticks: u32,
    successor_started: Option<Instant>,
    pub(super) progress: Json,
}

/// What follows an event.
pub(super) enum Next {
    GoOn,
    /// The session has ended, for this reason unless another one is known.
    Ended(String),
}

impl<'a> Live<'a> {
    #[expect(clippy::too_many_arguments, reason = "everything that a session is made of")]
    pub(super) fn new(
        services: &'a Services,
        client: &'a Client,
        start: &'a Start,
        settings: Supervise,
        hold: SessionHold,
        record: SessionRecord,
        sideband: Sideband,
        shift: Shift,
    ) -> Self {
        let now = now_ms();
        let progress = record.progress.clone();
        let number = |name: &str| progress.get(name).and_then(serde_json::Value::as_i64);
        let warned = progress.get("warned").and_then(serde_json::Value::as_bool).unwrap_or_default();
        let limits = LimitState::new(
            settings.limits.clone(),
            record.active_at.unwrap_or(now),
            number("heard_at").unwrap_or(now),
            warned,
        );
        let (ledger, api) = (services.ledger.clone(), start.api.as_str().to_owned());
        Self {
            services,
            client,
            start,
            model: None,
            usage: Usage::read(&record.usage),
            limits,
            transcript: TranscriptWriter::start(ledger, api, start.id.clone(), hold.generation),
            settings,
            hold,
            record,
            sideband,
            shift,
            running: JoinSet::new(),
            seen: HashSet::new(),
            outstanding: HashMap::new(),
            elsewhere: HashSet::new(),
            adopt_until: None,
            results: VecDeque::new(),
            given: Vec::new(),
            for_people: BTreeMap::new(),
            collecting: None,
            transfer: None,
            wait_message: None,
            to_say: VecDeque::new(),
            response_active: false,
            respond: false,
            hang_up_at: None,
            hang_ups: 0,
            reason: None,
            superseded: false,
            ask_again_at: None,
            kept_at: Instant::now(),
            ticks: 0,
            successor_started: None,
            progress,
        }
    }

    pub(super) fn key(&self) -> (&'static str, &'a str) {
        key(self.start.api, &self.start.id)
    }

    /// Supervises until the end.
    pub(super) async fn run(mut self, gap: Option<&str>) -> Result<Leave, AwsError> {
        if let Next::Ended(reason) = self.begin(gap).await? {
            return self.ended(reason).await;
        }
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let next = tokio::select! {
                // What comes seldom comes first: no flood of events delays it.
                biased;
                _ = tick.tick() => self.tick().await?,
                () = at(self.wait_message.as_ref().map(|(at, _)| *at)) => {
                    self.tell_to_wait();
                    Next::GoOn
                }
                Some(ended) = self.running.join_next() => {
                    match ended {
                        Ok(ended) => self.tool_ended(ended).await?,
                        Err(error) => tracing::error!("a tool's task failed: {error}"),
                    }
                    Next::GoOn
                }
                event = self.sideband.next() => match event {
                    Some(Ok(event)) => self.event(event).await?,
                    Some(Err(error)) => self.disconnected(&error).await?,
                    None => Next::Ended("closed".to_owned()),
                },
            };
            if let Next::Ended(reason) = next {
                return self.ended(reason).await;
            }
            if self.superseded {
                return Ok(self.superseded().await);
            }
            if self.shift.leave_at.is_some_and(|at| Instant::now() >= at) {
                tracing::warn!("no successor has taken the session; the watchdog starts one");
                self.stop_here().await;
                leave(self.services, &self.hold).await;
                self.finish_tools().await;
                self.transcript.finish().await;
                return Ok(Leave::Left);
            }
            let is_to_send = !self.results.is_empty() || !self.to_say.is_empty() || self.respond;
            if is_to_send && !self.has_lease() {
                self.keep().await;
                if self.superseded {
                    return Ok(self.superseded().await);
                }
            }
            self.give_results().await?;
            self.speak().await;
        }
    }

    /// Whether nobody else can have the session. Whoever could not renew the lease may have been replaced, and sends nothing.
    pub(super) fn has_lease(&self) -> bool {
        self.kept_at.elapsed() < LEASE
    }

    async fn tick(&mut self) -> Result<Next, AwsError> {
        self.ticks = self.ticks.wrapping_add(1);
        let now = Instant::now();
        if *self.shift.stop.borrow() && self.shift.leave_at.is_none() {
            (self.shift.hand_over_at, self.shift.leave_at) = (Some(now), Some(now + STOP_TIME));
        }
        if self.shift.hand_over_at.is_some_and(|at| now >= at)
            && self.successor_started.is_none_or(|started| now >= started + SUCCESSOR_TIME)
        {
            self.start_successor().await;
        }
        // While a successor comes, this one notices soon that it has the session.
        if self.ticks.is_multiple_of(TICKS_OF_RENEWAL) || self.successor_started.is_some() {
            self.keep().await;
            if self.superseded {
                return Ok(Next::GoOn);
            }
        }
        if self.ticks.is_multiple_of(2) {
            self.controls().await;
        }
        self.look_after_tools().await?;
        self.ask_again().await;
        if self.start.api == CallApi::Realtime {
            let seconds = now_ms().saturating_sub(self.record.active_at.unwrap_or_else(now_ms)) / 1000;
            self.usage.seconds(seconds.unsigned_abs());
        }
        self.check_limits().await?;
        self.hang_up_if_due().await
    }

    /// Renews the lease and writes what a successor has to know. `false`: it is not written.
    pub(super) async fn keep(&mut self) -> bool {
        self.progress.insert("heard_at".to_owned(), self.limits.active_at().into());
        self.progress.insert("warned".to_owned(), self.limits.warned().into());
        self.progress.insert("handing_over".to_owned(), self.successor_started.is_some().into());
        let usage = self.usage_record();
        let began = Instant::now();
        let kept = self.services.ledger.keep_session(&self.hold, now_ms() + LEASE_MS, &usage, &self.progress);
        match kept.await {
            Ok(HoldResult::Held) => {
                self.kept_at = began;
                return true;
            }
            Ok(HoldResult::Superseded) => self.superseded = true,
            Err(error) => tracing::warn!("{error}; it is tried again"),
        }
        false
    }

    fn usage_record(&self) -> Json {
        let mut usage = self.usage.record();
        if let Some(cost) = self.usage.cost_usd(self.start.api) {
            usage.insert("cost_usd".to_owned(), cost.into());
        }
        usage
    }

    async fn start_successor(&mut self) {
        self.successor_started = Some(Instant::now());
        self.keep().await;
        let successor = Start { generation: self.hold.generation + 1, accepted: true, ..self.start.clone() };
        match self.services.starter.hand_over(&successor).await {
            Ok(()) => tracing::info!(generation = successor.generation, "the successor is started"),
            Err(error) => tracing::warn!("{error}; it is tried again"),
        }
    }

    /// A later generation has the session. What runs here is finished, and its results kept.
    async fn superseded(mut self) -> Leave {
        tracing::info!(generation = self.hold.generation, "a later generation has the session");
        self.stop_here().await;
        self.finish_tools().await;
        self.sideband.detach().await;
        self.transcript.finish().await;
        Leave::HandedOver
    }

    async fn ended(mut self, reason: String) -> Result<Leave, AwsError> {
        let reason = self.reason_of_end(reason);
        tracing::info!(reason, "the session has ended");
        self.note_transferred(&reason).await;
        self.finish_tools().await;
        self.record.usage = self.usage_record();
        self.transcript.finish().await;
        end(self.services, self.client, &self.hold, &self.record, &reason).await
    }

    /// Opens the connection again. A session that is gone has ended.
    async fn disconnected(&mut self, error: &SidebandError) -> Result<Next, AwsError> {
        tracing::info!("{error}");
        for _ in 0..RECONNECT_ROUNDS {
            self.keep().await;
            if self.superseded {
                return Ok(Next::GoOn);
            }
            match self.sideband.reconnect(Instant::now() + RECONNECT_TIME).await {
                Ok(gap) => {
                    tracing::warn!(milliseconds = gap.length.as_millis(), "the connection was lost");
                    self.response_active = false;
                    self.missed(&format!("for {} ms", gap.length.as_millis())).await;
                    return Ok(Next::GoOn);
                }
                Err(hooks_openai::AttachError::NoSession(_)) => return Ok(Next::Ended("remote_hangup".to_owned())),
                Err(error) => tracing::warn!("{error}; it is tried again"),
            }
        }
        // Another process may have more luck.
        self.shift.leave_at = Some(Instant::now());
        Ok(Next::GoOn)
    }

    /// Notes that something may have been missed, and has the model call again what it waits for: once what has come is
    /// read, and no call that is known waits.
    pub(super) async fn missed(&mut self, how_long: &str) {
        let note = format!("There was no connection {how_long}. What was said meanwhile is missing here.");
        self.transcript.write("supervisor", &note, format!("gap/{}/{}", self.hold.generation, now_ms())).await;
        let has_tools = !self.settings.tools.is_empty() || !self.settings.built_in.is_empty();
        if has_tools {
            // A successor asks, if this one does not come to it.
            self.progress.insert("ask_again".to_owned(), true.into());
            self.ask_again_at = Some(Instant::now() + READ_TIME);
        }
    }

    /// Goes on with what a predecessor did not come to.
    pub(super) fn resume_asking(&mut self) {
        if self.progress.contains_key("ask_again") {
            self.ask_again_at = Some(Instant::now() + READ_TIME);
        }
    }

    async fn ask_again(&mut self) {
        if self.outstanding.is_empty() && self.ask_again_at.is_some_and(|at| Instant::now() >= at) {
            self.ask_again_at = None;
            self.progress.remove("ask_again");
            let text = "The connection to your tools was interrupted for a moment. If you are waiting for the result of a \
                        tool that you called, call it again.";
            self.instruct(text).await;
        }
    }

    /// Publishes something that happened to the call.
    pub(super) async fn publish(&self, kind: &str, status: &str, summary: serde_json::Value) {
        publish(self.services, self.start, kind, None, status, summary).await;
    }
}

/// Publishes something that happened to a call, or to one of its tool calls. It may be published twice, with the same key.
pub(super) async fn publish(
    services: &Services,
    start: &Start,
    kind: &str,
    call_id: Option<&str>,
    status: &str,
    summary: serde_json::Value,
) {
    let of_call = call_id.map(|call_id| format!("/{call_id}")).unwrap_or_default();
    let key = format!("{kind}/{}/{}{of_call}", start.api, start.id);
    let detail = json!({
        "id": key,
        "idempotency_key": key,
        "object_id": start.id,
        "status": status,
        "summary": summary,
        "artifacts": [],
        "bucket": services.artifacts.bucket(),
    });
    if let Err(error) = services.outcomes.publish(kind, &detail).await {
        tracing::warn!("{error}");
    }
}

/// Waits until then, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
