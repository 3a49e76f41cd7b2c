//! Jobs and their steps in the ledger.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::FutureExt as _;
use hooks_aws::clock::{now_ms, now_seconds};
use hooks_aws::ledger::value::{number, read_number, read_text, text};
use hooks_aws::ledger::{Item, Ledger};
use serde_json::Value;

use super::{Job, JobKind, NewJob, Step, StepState, check_name};
use crate::beginning::only;
use crate::error::{LEDGER_PERMISSIONS, OperateError, Result, failed};
use crate::parallel::each;
use crate::timestamp::Timestamp;

/// The sort key of a job, and its key in the index `by-due`, which lists the jobs by their beginning.
const SK: &str = "operation";

/// Days that a job is kept after it was last worked on, as long as events are by default.
const KEPT_SECONDS: i64 = 35 * 86_400;

/// Maximum number of items in a call of `BatchWriteItem`.
const BATCH: usize = 25;

/// Number of times that a call is repeated for what `DynamoDB` did not write.
const ROUNDS: usize = 20;

/// Number of jobs among which a beginning of a name is searched for.
const SEARCHED: usize = 1000;

/// Number of calls at a time.
const PARALLEL: usize = 8;

/// Maximum number of steps of a job.
pub(super) const MAX_STEPS: usize = 1_000_000;

/// Jobs of a stack. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(Ledger);

impl Jobs {
    /// The jobs in this ledger.
    #[must_use]
    pub const fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// Begins a job: writes its steps, and then the job.
    ///
    /// # Errors
    ///
    /// The name cannot be one, or there is a job of this name already.
    pub async fn create(&self, new: &NewJob) -> Result<Job> {
        check_name(&new.name)?;
        if new.steps.len() > MAX_STEPS {
            return Err(OperateError::usage(format!("a job has at most {MAX_STEPS} events"))
                .hint("Narrow the filter, or give a --limit."));
        }
        if self.get(&new.name).await?.is_some() {
            return Err(OperateError::failed(format!("there is a job {} already", new.name))
                .hint("Choose another name, or resume it."));
        }
        let expires_at = now_seconds() + KEPT_SECONDS;
        let items: Vec<Item> = new
            .steps
            .iter()
            .enumerate()
            .map(|(place, key)| {
                let place = number(i64::try_from(place).unwrap_or(i64::MAX));
                item([
                    ("pk", text(pk(&new.name))),
                    ("sk", text(format!("step#{key}"))),
                    ("state", text(StepState::Open.as_str())),
                    ("place", place),
                    ("expires_at", number(expires_at)),
                ])
            })
            .collect();
        let calls = items.chunks(BATCH).map(|batch| self.write(batch).boxed());
        let calls: Vec<_> = calls.collect();
        each(calls, PARALLEL, drop).await?;
        let now = now_ms();
        let total = i64::try_from(new.steps.len()).unwrap_or(i64::MAX);
        let job = item([
            ("pk", text(pk(&new.name))),
            ("sk", text(SK)),
            ("kind", text(new.kind.as_str())),
            ("filter", text(new.filter.to_string())),
            ("total", number(total)),
            ("sent", number(0)),
            ("left_out", number(0)),
            ("done", number(i64::from(total == 0))),
            ("created", number(now)),
            ("updated", number(now)),
            ("waiting", text(SK)),
            ("due_at", number(now / 1000)),
            ("expires_at", number(expires_at)),
        ]);
        let job = job.into_iter().chain(new.asked_by.iter().map(|who| ("asked_by".to_owned(), text(who)))).collect();
        let request = self.0.client().put_item().table_name(self.0.table()).set_item(Some(job));
        let written = request.condition_expression("attribute_not_exists(pk)").send().await;
        written.map_err(|error| failed("write the job", &error, LEDGER_PERMISSIONS))?;
        self.get(&new.name).await?.ok_or_else(|| OperateError::service(format!("the job {} is gone", new.name)))
    }

    /// The job of this name.
    pub async fn get(&self, name: &str) -> Result<Option<Job>> {
        let item = self.0.item("read the job", &pk(name), SK).await?;
        Ok(item.as_ref().and_then(Job::read))
    }

    /// The job whose name begins so and no other's does, among the newest thousand.
    ///
    /// # Errors
    ///
    /// Several names begin so.
    pub async fn find(&self, beginning: &str) -> Result<Option<Job>> {
        if let Some(job) = self.get(beginning).await? {
            return Ok(Some(job));
        }
        let names = self.list(SEARCHED).await?.into_iter().map(|job| job.name);
        match only(beginning, names)? {
            Some(name) => self.get(&name).await,
            None => Ok(None),
        }
    }

    /// The newest jobs, at most `limit`.
    pub async fn list(&self, limit: usize) -> Result<Vec<Job>> {
        let mut names = Vec::new();
        let mut start = None;
        while names.len() < limit {
            let request = self.0.client().query().table_name(self.0.table()).index_name("by-due");
            let request = request
                .key_condition_expression("#waiting = :jobs")
                .expression_attribute_names("#waiting", "waiting")
                .expression_attribute_values(":jobs", text(SK))
                .scan_index_forward(false)
                .limit(i32::try_from(limit.min(100)).unwrap_or(100))
                .set_exclusive_start_key(start);
            let page = request.send().await;
            let page = page.map_err(|error| failed("list the jobs", &error, LEDGER_PERMISSIONS))?;
            let keys = page.items.unwrap_or_default();
            names.extend(
                keys.iter().filter_map(|item| read_text(item, "pk")?.strip_prefix("operation#").map(str::to_owned)),
            );
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        names.truncate(limit);
        let mut jobs = Vec::new();
        let calls: Vec<_> = names.iter().map(|name| self.get(name).boxed()).collect();
        each(calls, PARALLEL, |job| jobs.extend(job)).await?;
        jobs.sort_by(|one, other| other.created_at.cmp(&one.created_at).then_with(|| one.name.cmp(&other.name)));
        Ok(jobs)
    }

    /// The steps that are not done, in their order.
    pub(super) async fn open_steps(&self, name: &str) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut start = None;
        loop {
            let request = self.0.client().query().table_name(self.0.table()).consistent_read(true);
            let request = request
                .key_condition_expression("pk = :job AND begins_with(sk, :step)")
                .filter_expression("#state IN (:open, :sending)")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":job", text(pk(name)))
                .expression_attribute_values(":step", text("step#"))
                .expression_attribute_values(":open", text(StepState::Open.as_str()))
                .expression_attribute_values(":sending", text(StepState::Sending.as_str()))
                .set_exclusive_start_key(start);
            let page = request.send().await;
            let page = page.map_err(|error| failed("read the job's steps", &error, LEDGER_PERMISSIONS))?;
            let read = |item: &Item| {
                let step = Step {
                    key: read_text(item, "sk")?.strip_prefix("step#")?.to_owned(),
                    is_begun: read_text(item, "state") == Some(StepState::Sending.as_str()),
                    token: read_text(item, "token").map(str::to_owned),
                };
                Some((read_number(item, "place").unwrap_or_default(), step))
            };
            steps.extend(page.items.unwrap_or_default().iter().filter_map(read));
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        steps.sort_by_key(|(place, _)| *place);
        Ok(steps.into_iter().map(|(_, step)| step).collect())
    }

    /// Begins a step with this token, unless it was begun already. Returns the token that it has then.
    pub(super) async fn begin(&self, name: &str, key: &str, token: Option<&str>) -> Result<Option<String>> {
        let request = self.0.client().update_item().table_name(self.0.table());
        let request = request
            .key("pk", text(pk(name)))
            .key("sk", text(format!("step#{key}")))
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":open", text(StepState::Open.as_str()))
            .expression_attribute_values(":sending", text(StepState::Sending.as_str()))
            .condition_expression("#state = :open");
        let request = match token {
            Some(token) => request
                .update_expression("SET #state = :sending, #token = :token")
                .expression_attribute_values(":token", text(token)),
            None => request.update_expression("SET #state = :sending REMOVE #token"),
        };
        match request.send().await {
            Ok(_) => Ok(token.map(str::to_owned)),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                // Another process began it, or the first try of this write was made and its answer lost.
                let item = self.0.item("read the job's step", &pk(name), &format!("step#{key}")).await?;
                Ok(item.as_ref().and_then(|item| read_text(item, "token")).map(str::to_owned))
            }
            Err(error) => Err(failed("begin the job's step", &error, LEDGER_PERMISSIONS)),
        }
    }

    /// Ends a step.
    pub(super) async fn end(&self, name: &str, key: &str, state: StepState) -> Result<()> {
        let request = self.0.client().update_item().table_name(self.0.table());
        let request = request
            .key("pk", text(pk(name)))
            .key("sk", text(format!("step#{key}")))
            .update_expression("SET #state = :state")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", text(state.as_str()));
        request.send().await.map_err(|error| failed("note the job's step", &error, LEDGER_PERMISSIONS))?;
        Ok(())
    }

    /// Counts the steps by state and writes that into the job, which it returns.
    pub(super) async fn settle(&self, name: &str) -> Result<Job> {
        let (mut sent, mut left_out, mut open) = (0, 0, 0);
        let mut start = None;
        loop {
            let request = self.0.client().query().table_name(self.0.table()).consistent_read(true);
            let request = request
                .key_condition_expression("pk = :job AND begins_with(sk, :step)")
                .projection_expression("#state")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":job", text(pk(name)))
                .expression_attribute_values(":step", text("step#"))
                .set_exclusive_start_key(start);
            let page = request.send().await;
            let page = page.map_err(|error| failed("count the job's steps", &error, LEDGER_PERMISSIONS))?;
            for item in page.items.unwrap_or_default() {
                match read_text(&item, "state") {
                    Some("sent") => sent += 1,
                    Some("left_out") => left_out += 1,
                    _ => open += 1,
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let request = self.0.client().update_item().table_name(self.0.table());
        let request = request
            .key("pk", text(pk(name)))
            .key("sk", text(SK))
            .update_expression(
                "SET #sent = :sent, #left_out = :left_out, #done = :done, #updated = :now, #expires_at = :expires_at",
            )
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#sent", "sent")
            .expression_attribute_names("#left_out", "left_out")
            .expression_attribute_names("#done", "done")
            .expression_attribute_names("#updated", "updated")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":sent", number(sent))
            .expression_attribute_values(":left_out", number(left_out))
            .expression_attribute_values(":done", number(i64::from(open == 0)))
            .expression_attribute_values(":now", number(now_ms()))
            .expression_attribute_values(":expires_at", number(now_seconds() + KEPT_SECONDS));
        request.send().await.map_err(|error| failed("note the job's progress", &error, LEDGER_PERMISSIONS))?;
        self.get(name).await?.ok_or_else(|| OperateError::service(format!("the job {name} is gone")))
    }

    async fn write(&self, items: &[Item]) -> Result<()> {
        let put = |item: &Item| PutRequest::builder().set_item(Some(item.clone())).build().ok();
        let requests = items.iter().filter_map(put).map(|put| WriteRequest::builder().put_request(put).build());
        let mut left = HashMap::from([(self.0.table().to_owned(), requests.collect::<Vec<_>>())]);
        for round in 0..ROUNDS {
            let written = self.0.client().batch_write_item().set_request_items(Some(left)).send().await;
            let written = written.map_err(|error| failed("write the job's steps", &error, LEDGER_PERMISSIONS))?;
            left = written.unprocessed_items.unwrap_or_default();
            if left.values().all(Vec::is_empty) {
                return Ok(());
            }
            // DynamoDB is busy.
            tokio::time::sleep(std::time::Duration::from_millis(50 << round.min(6))).await;
        }
        Err(OperateError::service("could not write the job's steps: DynamoDB is busy").hint("Try again in a moment."))
    }
}

impl Job {
    fn read(item: &Item) -> Option<Self> {
        let count = |name| read_number(item, name).and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        Some(Self {
            name: read_text(item, "pk")?.strip_prefix("operation#")?.to_owned(),
            kind: match read_text(item, "kind")? {
                "replay" => JobKind::Replay,
                "redrive" => JobKind::Redrive,
                _ => return None,
            },
            filter: read_text(item, "filter")
                .and_then(|filter| serde_json::from_str(filter).ok())
                .unwrap_or(Value::Null),
            asked_by: read_text(item, "asked_by").map(str::to_owned),
            created_at: Timestamp(read_number(item, "created").unwrap_or_default()),
            updated_at: Timestamp(read_number(item, "updated").unwrap_or_default()),
            is_done: read_number(item, "done") == Some(1),
            total: count("total"),
            sent: count("sent"),
            left_out: count("left_out"),
        })
    }
}

fn pk(name: &str) -> String {
    format!("operation#{name}")
}

fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}
