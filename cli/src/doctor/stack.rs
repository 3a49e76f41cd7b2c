//! Checks of the stack: status, concurrency quota, secrets, queues, a delivery.

use hooks_aws::secrets::PLACEHOLDER;
use hooks_function::ApiKeySecretError;
use hooks_openai::Client;
use hooks_operate::stack::logical_id;
use hooks_policy::Policy;
use hooks_webhook::{Category, Secret};
use serde_json::json;

use super::{Findings, identity};
use crate::aws::{Stack, concurrency_quota};
use crate::calls::{self, Stored};
use crate::context::Context;
use crate::error::Result;
use crate::output::counted;
use crate::queue_status::QueueStatus;
use crate::samples::random_hex;
use crate::send::Sender;
use crate::stack_endpoints::{ORGANIZATION, PROJECT, StackEndpoint};
use crate::timestamp::{duration, now};

/// Age in seconds from which a waiting event is reported. A consumer receives it at once, unless it is retried.
const OLD: f64 = 3600.0;

/// Concurrency quota below which a warning is given. New accounts have 10; the usual quota is 1,000.
const LOW_QUOTA: i32 = 100;

/// Checks the stack itself. Returns whether the other checks make sense.
pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<bool> {
    let Some(stack) = context.find_stack().await? else {
        findings.error(
            "stack",
            context.no_stack().await?,
            "Deploy it with `make deploy`, or name another one with --stack, --region or --profile.",
        );
        return Ok(false);
    };
    let is_usable = status(stack, findings) && outputs(stack, findings);
    let aws = context.aws().await?;
    // An emulator has no quota.
    if is_usable && aws.sdk().endpoint_url().is_none() {
        match concurrency_quota(aws).await {
            Ok(quota) => concurrency(quota.unwrap_or_default(), findings),
            Err(error) => {
                findings.warn("concurrency", error.message, "Your AWS identity needs lambda:GetAccountSettings.");
            }
        }
    }
    Ok(is_usable)
}

/// The status comes before the outputs: a stack whose first deployment failed has none.
fn status(stack: &Stack, findings: &mut Findings) -> bool {
    const CHECK: &str = "stack";
    let Stack { name, status, .. } = stack;
    let events = format!("See why: aws cloudformation describe-stack-events --stack-name {name}");
    match status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => findings.ok(CHECK, format!("{name} is {status}")),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => {
            findings.error(
                CHECK,
                format!("{name} is {status}: its first deployment failed, and such a stack cannot be updated"),
                format!("{events}. Then delete it (.venv/bin/sam delete --stack-name {name}) and deploy it again."),
            );
            return false;
        }
        "REVIEW_IN_PROGRESS" => {
            findings.error(
                CHECK,
                format!("{name} is {status}: it was never deployed"),
                "Deploy it with `make deploy`.",
            );
            return false;
        }
        "UPDATE_ROLLBACK_COMPLETE" => findings.warn(
            CHECK,
            format!("{name} is {status}: its last update failed, and the version before it is running"),
            events,
        ),
        status if status.ends_with("_IN_PROGRESS") => {
            findings.warn(CHECK, format!("{name} is {status}"), "Wait until this is over, and check again.");
        }
        status => findings.error(CHECK, format!("{name} is {status}"), events),
    }
    true
}

fn outputs(stack: &Stack, findings: &mut Findings) -> bool {
    let queues = Category::ALL.map(|category| format!("{}QueueUrl", logical_id(category)));
    let names = queues.iter().map(String::as_str).chain(["ProjectWebhookUrl", "OrganizationWebhookUrl"]);
    let missing: Vec<&str> = names.filter(|name| !stack.outputs.contains_key(*name)).collect();
    if let [first, ..] = missing.as_slice() {
        findings.error(
            "stack",
            format!("{} lacks {} outputs, such as {first}", stack.name, missing.len()),
            "If it is a stack of this project, update it with `make deploy`.",
        );
    }
    missing.is_empty()
}

fn concurrency(quota: i32, findings: &mut Findings) {
    const CHECK: &str = "concurrency";
    let detail = format!("{quota} concurrent Lambda executions for the account and region");
    if quota >= LOW_QUOTA {
        return findings.ok(CHECK, detail);
    }
    findings.warn(
        CHECK,
        format!("{detail}: a few long batches take all of them, and deliveries are refused until they end"),
        "Request more: aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 \
         --desired-value 1000",
    );
}

/// Checks the format of all secrets. Returns a client with the API key, if it is valid.
pub(super) async fn secrets(context: &Context, findings: &mut Findings) -> Option<Client> {
    const CHECK: &str = "secret api-key";
    const FIX: &str = "openai-webhooks secret set api-key";
    match context.stack().await.and_then(|stack| Ok(stack.endpoints()?)) {
        Ok(endpoints) => {
            for endpoint in endpoints {
                signing_secret(&endpoint, context, findings).await;
            }
        }
        Err(error) => findings.failed("endpoints", error),
    }
    if identity::check(context, findings).await {
        return None;
    }
    let client = async { Result::<_>::Ok(context.api_key_secret().await?.client().await) };
    match client.await {
        Err(error) => findings.failed(CHECK, error),
        Ok(Ok(client)) => {
            findings.ok(CHECK, "is set");
            return Some(client);
        }
        Ok(Err(ApiKeySecretError::Unset(_))) => {
            findings.error(CHECK, "was never set, so nothing can be fetched from OpenAI", FIX);
        }
        Ok(Err(ApiKeySecretError::Unusable(_, error))) => findings.error(CHECK, error.to_string(), FIX),
        Ok(Err(error)) => findings.failed(CHECK, error.into()),
    }
    None
}

async fn signing_secret(endpoint: &StackEndpoint, context: &Context, findings: &mut Findings) {
    let name = endpoint.name.as_str();
    let check = format!("secret {name}");
    let set = format!("openai-webhooks secret set {name}");
    match secret(context, &endpoint.secret_id).await {
        Err(error) if error.message.contains("is binary") => findings.error(check, error.message, set),
        Err(error) => findings.failed(check, error),
        Ok(text) if text == PLACEHOLDER && name == ORGANIZATION => findings.warn(
            check,
            "was never set, so the organization's safety notices are refused",
            format!("Create the endpoint in the dashboard, then: {set}"),
        ),
        Ok(text) if text == PLACEHOLDER && name == PROJECT => findings.error(
            check,
            "was never set, so deliveries are answered 503",
            format!("openai-webhooks endpoints create, or, with an endpoint created in the dashboard: {set}"),
        ),
        Ok(text) if text == PLACEHOLDER => findings.error(check, "was never set, so deliveries are answered 503", set),
        Ok(text) => match Secret::parse_for(endpoint.scheme, &text) {
            Ok(_) => findings.ok(check, "is set"),
            Err(error) => findings.error(check, error.to_string(), set),
        },
    }
}

async fn secret(context: &Context, id: &str) -> Result<String> {
    Ok(context.secrets().await?.text(id).await?.trim().to_owned())
}

/// Checks the stored policy for calls, if the stack answers any.
pub(super) async fn call_policy(context: &Context, findings: &mut Findings) {
    const CHECK: &str = "call policy";
    const FIX: &str = "Correct it and store it: openai-webhooks calls set-policy FILE";
    let stored = match context.is_handled(Category::Realtime).await {
        Ok(false) => return,
        Ok(true) => calls::stored_policy(context).await,
        Err(error) => Err(error),
    };
    let Stored { location, policy } = match stored {
        Ok(stored) => stored,
        Err(error) => return findings.failed(CHECK, error),
    };
    let Some(policy) = policy else {
        return findings.warn(
            CHECK,
            "none is stored, so a call would not be answered",
            "Store one: openai-webhooks calls set-policy FILE. Or deploy with RealtimeEnabled=false.",
        );
    };
    match Policy::parse(&policy) {
        Ok(policy) if policy.warnings.is_empty() => findings.ok(CHECK, format!("is valid, in {location}")),
        Ok(policy) => findings.warn(CHECK, policy.warnings.join("; "), FIX),
        Err(errors) => findings.error(CHECK, format!("is not valid: {}", errors.join("; ")), FIX),
    }
}

/// Checks what waits in the queues, and the dead letters.
pub(super) async fn queues(context: &Context, findings: &mut Findings) {
    match QueueStatus::read(context).await {
        Ok(queues) => queues.into_iter().for_each(|queue| queue_status(queue, findings)),
        Err(error) => findings.failed("queues", error),
    }
}

fn queue_status(status: QueueStatus, findings: &mut Findings) {
    let QueueStatus { category, is_handled, depths, oldest, .. } = status;
    let check = format!("queue {category}");
    let (queue, dead) = match depths {
        Ok(depths) => depths,
        Err(error) => return findings.failed(check, error),
    };
    let count = queue.total();
    let waiting = format!("{} waiting", counted(count, "event"));
    let age = oldest.unwrap_or_default();
    if dead.visible > 0 {
        findings.warn(
            &check,
            counted(dead.visible, "dead letter"),
            format!(
                "Reasons: openai-webhooks dlq list --category {category}. After the fix: openai-webhooks dlq redrive \
                 --category {category}"
            ),
        );
    }
    if !is_handled && count > 0 {
        findings.warn(
            check,
            format!("{waiting}, and the category is not handled"),
            format!("Deploy with {}Enabled=true within 14 days, or they expire.", logical_id(category)),
        );
    } else if count > 0 && age > OLD {
        #[expect(clippy::cast_possible_truncation, reason = "an age in seconds")]
        let age = duration(age as i64);
        findings.warn(
            check,
            format!("{waiting}, the oldest for {age}"),
            format!("Find failures: openai-webhooks events list --category {category} --state failed"),
        );
    } else if dead.visible == 0 {
        findings.ok(check, if count == 0 { "is empty".to_owned() } else { waiting });
    }
}

/// Makes a signed delivery to the stack's own URL.
pub(super) async fn deliver(context: &Context, findings: &mut Findings) {
    const CHECK: &str = "delivery";
    match delivery(context).await {
        Ok((id, 200)) => findings.ok(CHECK, format!("{id} was answered 200")),
        Ok((id, 401)) => findings.error(
            CHECK,
            format!("{id} was answered 401"),
            "If the secret was set just now, try again in a minute. Otherwise check this machine's clock.",
        ),
        Ok((id, status)) => findings.error(
            CHECK,
            format!("{id} was answered {status}"),
            format!("See why: aws logs tail /aws/lambda/{}-verifier --since 5m", context.options.stack),
        ),
        Err(error) => findings.failed(CHECK, error),
    }
}

async fn delivery(context: &Context) -> Result<(String, u16)> {
    let endpoint = context.stack().await?.endpoint(PROJECT)?;
    let secret = endpoint.secret(&context.secrets().await?).await?;
    let body = json!({
        "id": format!("evt_{}", random_hex()),
        "object": "event",
        "created_at": now(),
        "type": "doctor.delivery",
        "data": {},
    });
    let delivery = Sender::to(&endpoint.url)?.deliver(&secret, None, body.to_string().into_bytes()).await?;
    Ok((delivery.webhook_id.unwrap_or_default(), delivery.status))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_stack_whose_first_deployment_failed_is_deleted_before_it_is_deployed_again() {
        for (state, level, usable) in [
            ("CREATE_COMPLETE", Level::Ok, true),
            ("UPDATE_ROLLBACK_COMPLETE", Level::Warning, true),
            ("UPDATE_IN_PROGRESS", Level::Warning, true),
            ("UPDATE_ROLLBACK_FAILED", Level::Error, true),
            ("ROLLBACK_COMPLETE", Level::Error, false),
            ("REVIEW_IN_PROGRESS", Level::Error, false),
        ] {
            let (parameters, outputs) = Default::default();
            let stack =
                Stack { id: String::new(), name: "prod".to_owned(), status: state.to_owned(), parameters, outputs };
            let mut findings = Findings::default();
            assert_eq!((status(&stack, &mut findings), findings.0[0].level), (usable, level), "{state}");
            let fix = findings.0[0].fix.clone().unwrap_or_default();
            assert_eq!(fix.contains("sam delete --stack-name prod"), state == "ROLLBACK_COMPLETE", "{fix}");
        }
    }

    #[test]
    fn a_low_concurrency_quota_is_a_warning() {
        let mut findings = Findings::default();
        concurrency(10, &mut findings);
        concurrency(1000, &mut findings);
        assert_eq!(findings.0.iter().map(|finding| finding.level).collect::<Vec<_>>(), [Level::Warning, Level::Ok]);
        assert!(findings.0[0].fix.as_ref().unwrap().contains("L-B99A9384"));
    }
}
