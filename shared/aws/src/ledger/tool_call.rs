//! The items of a session's tool calls: claimed once, run once, their results kept.
//!
//! A call's id is claimed before the tool is run, by one conditional write, and its result is written once. Whoever finds a
//! result gives it and runs nothing. A claim without a result after `run_until` is of a supervisor that died: the tool may
//! have been run, and only a tool that may be repeated is run again, under the same idempotency key.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, Item, WriteResult};
use super::session::pk;
use super::transcript::LIFETIME;
use super::value::{number, read_number, read_text, text};
use super::{Ledger, now, random_token};
use crate::AwsError;

/// Beginning of the sort keys.
const SK: &str = "tool#";

/// A tool call.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Id of the call, given by OpenAI.
    pub call_id: String,
    /// Name of the tool.
    pub name: String,
    /// Arguments, as the model wrote them.
    pub arguments: String,
    /// Time by which whoever claimed it must have written a result, in milliseconds since the Unix epoch.
    pub run_until: i64,
    /// Time of the claim.
    pub claimed_at: i64,
    /// Number of claims.
    pub claims: u32,
    /// Result, once there is one.
    pub result: Option<ToolResult>,
    /// Whether the model has it.
    pub given: bool,
    token: String,
}

/// Result of a tool.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// Whether the tool did what was asked.
    pub is_success: bool,
    /// Text for the model.
    pub output: String,
}

/// Claim of a tool call.
#[derive(Clone, Debug)]
pub struct ToolClaim {
    pk: String,
    sk: String,
    token: String,
}

/// Result of claiming a tool call.
#[derive(Debug)]
pub enum ToolClaimResult {
    /// It is ours to run.
    Granted(ToolClaim),
    /// It was claimed before.
    Known(ToolCall),
}

impl Ledger {
    /// Claims a tool call that nobody has claimed yet.
    pub async fn claim_tool(
        &self,
        (api, id): (&str, &str),
        call_id: &str,
        name: &str,
        arguments: &str,
        run_until: i64,
    ) -> Result<ToolClaimResult, AwsError> {
        let change = Change::default()
            .set("call_id", text(call_id))
            .set("name", text(name))
            .set("arguments", text(arguments))
            .set("claimed_at", number(now()))
            .set("claims", number(1));
        self.write_claim_of_tool((api, id), call_id, change, run_until, "attribute_not_exists(pk)").await
    }

    /// Claims a tool call again whose holder has died. The condition is that it still is as it was found.
    pub async fn reclaim_tool(
        &self,
        (api, id): (&str, &str),
        found: &ToolCall,
        run_until: i64,
    ) -> Result<ToolClaimResult, AwsError> {
        let change = Change::default()
            .set("claims", number(i64::from(found.claims) + 1))
            .compare("result")
            .value("found", text(&found.token));
        let condition = "#token = :found AND attribute_not_exists(#result)";
        self.write_claim_of_tool((api, id), &found.call_id, change, run_until, condition).await
    }

    async fn write_claim_of_tool(
        &self,
        (api, id): (&str, &str),
        call_id: &str,
        change: Change,
        run_until: i64,
        condition: &str,
    ) -> Result<ToolClaimResult, AwsError> {
        const ACTION: &str = "claim the tool call";
        let claim = ToolClaim { pk: pk(api, id), sk: format!("{SK}{call_id}"), token: random_token() };
        let change = change
            .set("token", text(&claim.token))
            .set("run_until", number(run_until))
            .set("expires_at", number(now() / 1000 + LIFETIME.as_secs().cast_signed()));
        match self.change(ACTION, &claim.pk, &claim.sk, change, condition).await? {
            WriteResult::Yes(_) => Ok(ToolClaimResult::Granted(claim)),
            // The SDK tried twice: the first try was made, but its answer got lost.
            WriteResult::No(item) if read_text(&item, "token") == Some(&claim.token) => {
                Ok(ToolClaimResult::Granted(claim))
            }
            WriteResult::No(item) => {
                let known = ToolCall::read(&item).map(ToolClaimResult::Known);
                known.ok_or_else(|| AwsError::new(ACTION, "the item is not a tool call"))
            }
        }
    }

    /// Keeps the result of a tool call. `false`: somebody else has claimed it, or it has a result already.
    pub async fn finish_tool(&self, claim: &ToolClaim, result: &ToolResult) -> Result<bool, AwsError> {
        let change = Change::default()
            .set("result", text(&result.output))
            .set("is_success", number(result.is_success.into()))
            .set("finished_at", number(now()))
            .compare("token")
            .value("holder", text(&claim.token));
        let condition = "#token = :holder AND attribute_not_exists(#result)";
        match self.change("keep the tool's result", &claim.pk, &claim.sk, change, condition).await? {
            WriteResult::Yes(_) => Ok(true),
            WriteResult::No(item) => {
                Ok(read_text(&item, "token") == Some(&claim.token)
                    && read_text(&item, "result") == Some(&result.output))
            }
        }
    }

    /// Gives a claim back, whose tool belongs to the session: a successor goes on with it.
    pub async fn release_tool(&self, claim: &ToolClaim) -> Result<(), AwsError> {
        let change = Change::default()
            .set("run_until", number(0))
            .compare("token")
            .compare("result")
            .value("holder", text(&claim.token));
        let condition = "#token = :holder AND attribute_not_exists(#result)";
        self.change("give the tool call back", &claim.pk, &claim.sk, change, condition).await.map(drop)
    }

    /// Takes it upon this generation to give the model the result of a call, until `until` (milliseconds since the Unix
    /// epoch). `false`: the model has it, or another generation gives it now. One that dies meanwhile may have given it, or
    /// not.
    pub async fn give_tool(
        &self,
        (api, id): (&str, &str),
        call_id: &str,
        generation: u32,
        until: i64,
    ) -> Result<bool, AwsError> {
        let change = Change::default()
            .set("given_by", number(generation.into()))
            .set("given_until", number(until))
            .compare("given_at")
            .value("now", number(now()));
        let sk = format!("{SK}{call_id}");
        let condition = "attribute_exists(pk) AND attribute_not_exists(#given_at) \
                         AND (attribute_not_exists(#given_until) OR #given_until < :now OR #given_by = :given_by)";
        Ok(match self.change("give the result", &pk(api, id), &sk, change, condition).await? {
            WriteResult::Yes(_) => true,
            // A call that was refused before it was claimed has no item.
            WriteResult::No(item) => item.is_empty(),
        })
    }

    /// Notes that the model has the result.
    pub async fn tool_given(&self, (api, id): (&str, &str), call_id: &str) -> Result<(), AwsError> {
        let change = Change::default().set("given_at", number(now()));
        let sk = format!("{SK}{call_id}");
        self.change("note that the result is given", &pk(api, id), &sk, change, "attribute_exists(pk)").await.map(drop)
    }

    /// The tool calls of a session, in no order. Needs `dynamodb:Query`.
    pub async fn tool_calls(&self, (api, id): (&str, &str)) -> Result<Vec<ToolCall>, AwsError> {
        let items = self.items_of_session("list the tool calls", &pk(api, id), (SK, "tool#~"), None).await?;
        Ok(items.iter().filter_map(ToolCall::read).collect())
    }

    /// Items of a session between two sort keys, in their order.
    pub(super) async fn items_of_session(
        &self,
        action: &'static str,
        pk: &str,
        (from, to): (&str, &str),
        limit: Option<i32>,
    ) -> Result<Vec<Item>, AwsError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
                .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
                .set_limit(limit)
                .set_exclusive_start_key(start);
            let page = request.send().await.map_err(AwsError::of(action))?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() || limit.is_some_and(|limit| found.len() >= limit.unsigned_abs() as usize) {
                return Ok(found);
            }
        }
    }
}

impl ToolCall {
    fn read(item: &Item) -> Option<Self> {
        let said = |name| read_text(item, name).map(str::to_owned);
        Some(Self {
            call_id: said("call_id")?,
            name: said("name")?,
            arguments: said("arguments").unwrap_or_default(),
            run_until: read_number(item, "run_until").unwrap_or_default(),
            claimed_at: read_number(item, "claimed_at").unwrap_or_default(),
            claims: read_number(item, "claims").and_then(|claims| claims.try_into().ok()).unwrap_or(1),
            result: said("result")
                .map(|output| ToolResult { is_success: read_number(item, "is_success") == Some(1), output }),
            given: item.contains_key("given_at"),
            token: said("token")?,
        })
    }
}

impl std::fmt::Debug for ToolCall {
    /// Neither arguments nor result: they are the caller's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolCall")
            .field("call_id", &self.call_id)
            .field("name", &self.name)
            .field("finished", &self.result.is_some())
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ToolResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolResult").field("is_success", &self.is_success).finish_non_exhaustive()
    }
}
