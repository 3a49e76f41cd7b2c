//! What the account has: the stack, its secrets, its queues, its URL.

use std::collections::BTreeMap;

use hooks_aws::secrets::PLACEHOLDER;
use hooks_openai::ApiKey;
use hooks_webhook::{Category, Secret};
use serde_json::json;

use super::{Findings, counted};
use crate::aws::{Depth, Metrics};
use crate::context::{Context, now};
use crate::dlq::{dead_letters, logical, queue_url};
use crate::failure::Failure;
use crate::samples::random_hex;
use crate::send::Sender;
use crate::sign::new_webhook_id;
use crate::signing::{Endpoint, stack_secret};
use crate::when::duration;

/// An event has waited for too long after so many seconds: a consumer takes it at once, unless it is tried again.
const OLD: f64 = 3600.0;

/// Whether there is a stack to look at any further.
pub(super) async fn stack(context: &Context, findings: &mut Findings) -> Result<bool, Failure> {
    const CHECK: &str = "stack";
    let name = &context.options.stack;
    let Some(stack) = context.find_stack().await? else {
        findings.error(
            CHECK,
            format!("there is no stack {name} in this account and region"),
            "Deploy it with `make deploy`, or name another one with --stack, --region or --profile.",
        );
        return Ok(false);
    };
    let status = &stack.status;
    let wanted = Category::ALL.map(|category| format!("{}QueueUrl", logical(category)));
    let wanted = wanted.iter().map(String::as_str).chain(Endpoint::ALL.map(Endpoint::url_output));
    let missing: Vec<&str> = wanted.filter(|output| !stack.outputs.contains_key(*output)).collect();
    if let [first, ..] = missing.as_slice() {
        findings.error(
            CHECK,
            format!("{name} is {status}, and lacks {} outputs, such as {first}", missing.len()),
            "Is it a stack of this project? If it is, deploy it again with `make deploy`.",
        );
        return Ok(false);
    }
    match status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => findings.ok(CHECK, format!("{name} is {status}")),
        "UPDATE_ROLLBACK_COMPLETE" => findings.warn(
            CHECK,
            format!("{name} is {status}: its last update failed, and it runs as before"),
            format!("See why: aws cloudformation describe-stack-events --stack-name {name}"),
        ),
        status if status.ends_with("_IN_PROGRESS") => {
            findings.warn(CHECK, format!("{name} is {status}"), "Wait until that is over, and look again.");
        }
        status => findings.error(
            CHECK,
            format!("{name} is {status}"),
            format!("See why: aws cloudformation describe-stack-events --stack-name {name}"),
        ),
    }
    Ok(true)
}

/// The shapes of the three secrets. Answers the API key, if it can be one.
pub(super) async fn secrets(context: &Context, findings: &mut Findings) -> Option<ApiKey> {
    const CHECK: &str = "secret api-key";
    const FIX: &str = "openai-webhooks secret set api-key";
    for endpoint in Endpoint::ALL {
        let name = endpoint.as_str();
        let check = format!("secret {name}");
        match text(context, endpoint.secret_output()).await {
            Err(failure) => findings.unknown(check, failure),
            Ok(text) if text == PLACEHOLDER && endpoint == Endpoint::Organization => findings.warn(
                check,
                "was never set, so the organization's safety notices are refused",
                "Create the endpoint in the dashboard, then: openai-webhooks secret set organization",
            ),
            Ok(text) if text == PLACEHOLDER => findings.error(
                check,
                "was never set, so deliveries are answered 503",
                "openai-webhooks endpoints create, or, with an endpoint made in the dashboard: openai-webhooks secret \
                 set project",
            ),
            Ok(text) => match Secret::parse(&text) {
                Ok(_) => findings.ok(check, "is set"),
                Err(error) => {
                    findings.error(check, error.to_string(), format!("openai-webhooks secret set {name}"));
                }
            },
        }
    }
    match text(context, "OpenAIApiKeySecretArn").await {
        Err(failure) => findings.unknown(CHECK, failure),
        Ok(text) if text == PLACEHOLDER => {
            findings.error(CHECK, "was never set, so nothing can be fetched from OpenAI", FIX);
        }
        Ok(text) => match text.parse() {
            Ok(key) => {
                findings.ok(CHECK, "is set");
                return Some(key);
            }
            Err(error) => findings.error(CHECK, hooks_openai::ApiKeyError::to_string(&error), FIX),
        },
    }
    None
}

async fn text(context: &Context, output: &str) -> Result<String, Failure> {
    let id = context.output(output).await?;
    Ok(context.secrets().await?.text(id).await?.trim().to_owned())
}

/// Whether the stack handles a category.
pub(super) async fn is_handled(context: &Context, category: Category) -> bool {
    let enabled = context.parameter(&format!("{}Enabled", logical(category))).await;
    !matches!(enabled, Ok(Some("false")))
}

/// What waits, and what was given up.
pub(super) async fn queues(context: &Context, findings: &mut Findings) {
    let ages = ages(context).await;
    for category in Category::ALL {
        let check = format!("queue {category}");
        let (waiting, dead) = match depths(context, category).await {
            Ok(depths) => depths,
            Err(failure) => {
                findings.unknown(check, failure);
                continue;
            }
        };
        let in_queue = waiting.visible + waiting.in_flight + waiting.delayed;
        let waits = counted(in_queue, "event waits", "events wait");
        let age = ages.get(&category).copied().unwrap_or_default();
        let shown_age =
            duration(std::time::Duration::from_secs_f64(age.max(0.0)).as_secs().try_into().unwrap_or_default());
        if dead.visible > 0 {
            findings.warn(
                &check,
                counted(dead.visible, "dead letter", "dead letters"),
                format!(
                    "Why: openai-webhooks dlq list {category}. After the fix: openai-webhooks dlq redrive {category}"
                ),
            );
        }
        if !is_handled(context, category).await && in_queue > 0 {
            findings.warn(
                check,
                format!("{waits}, and the category is not handled"),
                format!("Deploy with {}Enabled=true within 14 days, or they are gone.", logical(category)),
            );
        } else if in_queue > 0 && age > OLD {
            findings.warn(
                check,
                format!("{waits}, the oldest for {shown_age}"),
                format!("See what fails: openai-webhooks events list --category {category} --state failed"),
            );
        } else if dead.visible == 0 {
            findings.ok(check, if in_queue == 0 { "is empty".to_owned() } else { waits });
        }
    }
}

async fn depths(context: &Context, category: Category) -> Result<(Depth, Depth), Failure> {
    let letters = dead_letters(context, category).await?;
    Ok((letters.waiting().await?, letters.count().await?))
}

/// How old the oldest message of each queue is, in seconds, as far as CloudWatch knows.
async fn ages(context: &Context) -> BTreeMap<Category, f64> {
    let Ok(aws) = context.aws().await else { return BTreeMap::new() };
    let mut names = Vec::new();
    for category in Category::ALL {
        let url = queue_url(context, category).await.unwrap_or_default();
        names.push(url.rsplit('/').next().unwrap_or_default().to_owned());
    }
    let ages = Metrics::new(aws).oldest_ages(&names).await.unwrap_or_default();
    Category::ALL.into_iter().zip(ages).filter_map(|(category, age)| Some((category, age?))).collect()
}

/// A signed delivery to the stack's own URL.
pub(super) async fn deliver(context: &Context, findings: &mut Findings) {
    const CHECK: &str = "delivery";
    match delivered(context).await {
        Ok((id, 200)) => findings.ok(CHECK, format!("{id} was answered 200")),
        Ok((id, 401)) => findings.error(
            CHECK,
            format!("{id} was answered 401"),
            "Was the secret set seconds ago? Try again in a minute. Else compare this machine's clock.",
        ),
        Ok((id, status)) => findings.error(
            CHECK,
            format!("{id} was answered {status}"),
            format!("See why: aws logs tail /aws/lambda/{}-verifier --since 5m", context.options.stack),
        ),
        Err(failure) => findings.unknown(CHECK, failure),
    }
}

async fn delivered(context: &Context) -> Result<(String, u16), Failure> {
    let secret = stack_secret(context, Endpoint::Project).await?;
    let url = context.output(Endpoint::Project.url_output()).await?;
    let url = url.parse().map_err(|error| Failure::no(format!("the stack's URL {url} is no URL: {error}")))?;
    let body = json!({
        "id": format!("evt_{}", random_hex()),
        "object": "event",
        "created_at": now(),
        "type": "doctor.delivery",
        "data": {},
    });
    let delivered = Sender::new(url)?.deliver(&secret, new_webhook_id(), body.to_string().into_bytes()).await?;
    Ok((delivered.webhook_id, delivered.status))
}
