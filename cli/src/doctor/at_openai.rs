//! What OpenAI says: the key and its permissions, the endpoint and its event types.

use std::collections::BTreeSet;

use hooks_openai::{ApiKey, Client, ClientConfig, ErrorClass, OpenAiError, WebhookEndpoint};
use hooks_webhook::Category;

use super::Findings;
use super::in_aws::is_handled;
use crate::context::{Context, deadline};
use crate::endpoints::endpoints;
use crate::failure::Failure;
use crate::signing::Endpoint;

/// An id that nothing has: asking for it shows whether one may ask.
const NOTHING: &str = "openai_webhooks_doctor";

/// With the stack's own key and address, which are those of its functions.
pub(super) async fn check(key: ApiKey, deliver: bool, context: &Context, findings: &mut Findings) {
    let client = match client(key, context).await {
        Ok(client) => client,
        Err(failure) => return findings.unknown("OpenAI", failure),
    };
    if permissions(&client, context, findings).await {
        endpoint(&client, deliver, context, findings).await;
    }
}

async fn client(api_key: ApiKey, context: &Context) -> Result<Client, Failure> {
    let base_url = context.parameter("OpenAIBaseUrl").await?.unwrap_or("https://api.openai.com/v1");
    let base_url = base_url.parse().map_err(|error| {
        Failure::no(format!("OpenAIBaseUrl {base_url} is no URL: {error}")).hint("Deploy with a URL for it.")
    })?;
    Client::new(ClientConfig { base_url, api_key }).map_err(|error| Failure::no(error.to_string()))
}

/// A call that reads for each category that is handled. Answers whether the key is one.
async fn permissions(client: &Client, context: &Context, findings: &mut Findings) -> bool {
    for category in Category::ALL {
        if !is_handled(context, category).await {
            continue;
        }
        let check = format!("key for {category}");
        let Some((permission, result)) = read(client, category).await else { continue };
        match result {
            Ok(()) => findings.ok(check, format!("may {permission}")),
            Err(error) => match (error.class(), error.status()) {
                (ErrorClass::NotFound, _) => findings.ok(check, format!("may {permission}")),
                (ErrorClass::Unauthorized, Some(401)) => {
                    findings.error("key", error.to_string(), "openai-webhooks secret set api-key");
                    return false;
                }
                (ErrorClass::Unauthorized, _) => findings.error(
                    check,
                    format!("may not {permission}: {error}"),
                    format!(
                        "Give the key this permission at https://platform.openai.com/api-keys, or do not handle the \
                         category: deploy with {}Enabled=false",
                        crate::dlq::logical(category)
                    ),
                ),
                _ => findings.unknown(check, error.into()),
            },
        }
    }
    true
}

/// What the category's consumer asks OpenAI for, asked for nothing; of calls and the archive there is nothing to read.
async fn read(client: &Client, category: Category) -> Option<(&'static str, Result<(), OpenAiError>)> {
    let until = deadline();
    Some(match category {
        Category::Batch => ("read batches", both(client.batches(None, 1, until).await, client, until).await),
        Category::Response => ("read responses", client.response(NOTHING, until).await.map(drop)),
        Category::FineTuning => ("read fine-tuning jobs", client.fine_tuning_jobs(None, 1, until).await.map(drop)),
        Category::Agent => ("read agents", client.agent_sessions(None, 1, until).await.map(drop)),
        Category::Safety => ("read safety alerts", client.safety_alert(NOTHING, until).await.map(drop)),
        Category::File => ("read files", client.file(NOTHING, until).await.map(drop)),
        _ => return None,
    })
}

/// A batch's results are files.
async fn both<T>(
    batches: Result<T, OpenAiError>,
    client: &Client,
    until: tokio::time::Instant,
) -> Result<(), OpenAiError> {
    batches?;
    client.file(NOTHING, until).await.map(drop)
}

/// Whether an endpoint delivers to the stack, and what.
async fn endpoint(client: &Client, deliver: bool, context: &Context, findings: &mut Findings) {
    const CHECK: &str = "endpoint";
    let url = match context.output(Endpoint::Project.url_output()).await {
        Ok(url) => url,
        Err(failure) => return findings.unknown(CHECK, failure),
    };
    let found = match endpoints(client, usize::MAX).await {
        Ok(found) => found,
        Err(error) if error.class() == ErrorClass::Unauthorized => {
            return findings.warn(
                CHECK,
                format!("cannot be checked, since the stack's key may not read webhooks: {error}"),
                "Give the key api.webhooks.read, or look at https://platform.openai.com/settings/project/webhooks.",
            );
        }
        Err(error) => return findings.unknown(CHECK, error.into()),
    };
    let of_stack: Vec<&WebhookEndpoint> = found.iter().filter(|endpoint| endpoint.url == url).collect();
    let [endpoint, others @ ..] = of_stack.as_slice() else {
        let near = found.iter().find(|endpoint| is_near(&endpoint.url, url));
        let hint = match near {
            Some(near) => format!("openai-webhooks endpoints update {} --url {url}", near.id),
            None => "openai-webhooks endpoints create".to_owned(),
        };
        let near = near.map(|near| format!("; {} delivers to {}", near.id, near.url)).unwrap_or_default();
        return findings.error(CHECK, format!("none of the project's delivers to {url}{near}"), hint);
    };
    if let [other, ..] = others {
        findings.error(
            CHECK,
            format!("{} and {} both deliver to {url}, with different secrets", endpoint.id, other.id),
            format!("Delete the one whose secret is not the stack's: openai-webhooks endpoints delete {}", other.id),
        );
    } else {
        findings.ok(CHECK, format!("{} delivers to {url}", endpoint.id));
    }
    types(endpoint, client, context, findings).await;
    if deliver {
        test(endpoint, client, findings).await;
    }
}

/// OpenAI's own delivery: the only proof that the endpoint's secret is the stack's.
async fn test(endpoint: &WebhookEndpoint, client: &Client, findings: &mut Findings) {
    const CHECK: &str = "OpenAI's delivery";
    let id = &endpoint.id;
    let event_type = endpoint.event_types.first().map_or("response.completed", String::as_str);
    match client.test_webhook_endpoint(id, event_type, deadline()).await {
        Ok(200) => findings.ok(CHECK, format!("a sample of {event_type} was answered 200")),
        Ok(401) => findings.error(
            CHECK,
            format!("a sample of {event_type} was answered 401: the stack's secret is not that of {id}"),
            format!("openai-webhooks endpoints rotate {id}"),
        ),
        Ok(status) => findings.error(
            CHECK,
            format!("a sample of {event_type} was answered {status}"),
            "Does the delivery of doctor itself, below, fare better? Then look at what stands in between.",
        ),
        Err(error) if error.class() == ErrorClass::Unauthorized => findings.warn(
            CHECK,
            format!("the stack's key may not ask for one: {error}"),
            "With a key that may: OPENAI_API_KEY=... openai-webhooks endpoints test",
        ),
        Err(error) => findings.unknown(CHECK, error.into()),
    }
}

/// The same address, written otherwise: another scheme, a slash, another stage.
fn is_near(one: &str, other: &str) -> bool {
    let host = |url: &str| url.parse().ok().and_then(|url: reqwest::Url| url.host_str().map(str::to_owned));
    host(one).is_some() && host(one) == host(other) && one.contains("/webhooks") && other.contains("/webhooks")
}

/// What the stack handles and OpenAI offers should come; what comes should be handled.
async fn types(endpoint: &WebhookEndpoint, client: &Client, context: &Context, findings: &mut Findings) {
    const CHECK: &str = "event types";
    let offered = match client.webhook_event_types(deadline()).await {
        Ok(offered) => offered,
        Err(error) => return findings.unknown(CHECK, error.into()),
    };
    let mut handled = BTreeSet::new();
    for category in Category::ALL {
        if is_handled(context, category).await {
            handled.insert(category);
        }
    }
    // Of the archive nothing is missed: it takes what nobody else does.
    let is_wanted = |name: &&String| {
        let category = Category::of(name);
        category != Category::Archive && handled.contains(&category)
    };
    let missing: Vec<&str> = offered
        .iter()
        .filter(is_wanted)
        .filter(|name| !endpoint.event_types.contains(name))
        .map(String::as_str)
        .collect();
    let idle: Vec<&str> =
        endpoint.event_types.iter().map(String::as_str).filter(|name| !handled.contains(&Category::of(name))).collect();
    if !missing.is_empty() {
        let all = missing.len() + endpoint.event_types.len() >= offered.len();
        let present = endpoint.event_types.iter().map(String::as_str);
        let wanted = if all { "all".to_owned() } else { present.chain(missing.clone()).collect::<Vec<_>>().join(",") };
        findings.warn(
            CHECK,
            format!("the stack handles, but {} does not deliver: {}", endpoint.id, missing.join(", ")),
            format!("openai-webhooks endpoints update {} --event-types {wanted}", endpoint.id),
        );
    }
    if !idle.is_empty() {
        findings.warn(
            CHECK,
            format!("{} delivers, but the stack does not handle: {}", endpoint.id, idle.join(", ")),
            "Handle their categories, or take them away with `endpoints update --event-types`.",
        );
    }
    if missing.is_empty() && idle.is_empty() {
        findings.ok(CHECK, format!("{} are delivered", endpoint.event_types.len()));
    }
}
