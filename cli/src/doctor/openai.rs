//! Checks at OpenAI: the key's permissions, the endpoint and its event types.

use hooks_openai::{Client, ErrorClass, OpenAiError, WebhookEndpoint};
use hooks_operate::stack::logical_id;
use hooks_webhook::Category;

use super::Findings;
use crate::context::{Context, deadline};
use crate::endpoints::all_endpoints;
use crate::error::Result;
use crate::stack_endpoints::PROJECT;

/// The id of no object: the error of a request for it shows whether the key has the permission.
const NO_OBJECT: &str = "openai_webhooks_doctor";

/// Checks with the stack's own key and address, which its functions use.
pub(super) async fn check(client: &Client, deliver: bool, context: &Context, findings: &mut Findings) {
    let prepared = async {
        let mut handled = Vec::new();
        for category in Category::ALL {
            if context.is_handled(category).await? {
                handled.push(category);
            }
        }
        Result::<_>::Ok((handled, context.stack().await?.endpoint(PROJECT)?.url))
    };
    let (handled, url) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => return findings.failed("OpenAI", error),
    };
    if permissions(client, &handled, findings).await {
        endpoint(client, &url, &handled, deliver, findings).await;
    }
}

/// Reads for each handled category. Returns whether the key is valid.
async fn permissions(client: &Client, handled: &[Category], findings: &mut Findings) -> bool {
    for category in handled.iter().copied() {
        let check = format!("key for {category}");
        let Some((objects, result)) = read(client, category).await else { continue };
        let Err(error) = result else {
            findings.ok(check, format!("may read {objects}"));
            continue;
        };
        match (error.class(), error.status()) {
            (ErrorClass::NotFound, _) => findings.ok(check, format!("may read {objects}")),
            (ErrorClass::Unauthorized, Some(401)) => {
                findings.error("key", error.to_string(), "openai-webhooks secret set api-key");
                return false;
            }
            (ErrorClass::Unauthorized, _) => findings.error(
                check,
                format!("may not read {objects}: {error}"),
                format!(
                    "Give the key this permission at https://platform.openai.com/api-keys, or do not handle the category: \
                     deploy with {}Enabled=false",
                    logical_id(category)
                ),
            ),
            _ => findings.failed(check, error.into()),
        }
    }
    true
}

/// A read of the objects that the category's consumer reads; `None` for calls and the archive, which read nothing.
async fn read(client: &Client, category: Category) -> Option<(&'static str, std::result::Result<(), OpenAiError>)> {
    let until = deadline();
    Some(match category {
        // The results of a batch are files.
        Category::Batch => match client.batches(None, 1, until).await {
            Ok(_) => ("batches", client.file(NO_OBJECT, until).await.map(drop)),
            Err(error) => ("batches", Err(error)),
        },
        Category::Response => ("responses", client.response(NO_OBJECT, until).await.map(drop)),
        Category::FineTuning => ("fine-tuning jobs", client.fine_tuning_jobs(None, 1, until).await.map(drop)),
        Category::Agent => ("agents", client.agent_sessions(None, 1, until).await.map(drop)),
        Category::Safety => ("safety alerts", client.safety_alert(NO_OBJECT, until).await.map(drop)),
        Category::File => ("files", client.file(NO_OBJECT, until).await.map(drop)),
        _ => return None,
    })
}

/// Checks that one endpoint delivers to the stack, and its event types.
async fn endpoint(client: &Client, url: &str, handled: &[Category], deliver: bool, findings: &mut Findings) {
    const CHECK: &str = "endpoint";
    let found = match all_endpoints(client, usize::MAX).await {
        Ok(found) => found,
        Err(error) if error.class() == ErrorClass::Unauthorized => {
            return findings.warn(
                CHECK,
                format!("not checked, since the stack's key may not read webhooks: {error}"),
                "Give the key api.webhooks.read, or see https://platform.openai.com/settings/project/webhooks.",
            );
        }
        Err(error) => return findings.failed(CHECK, error.into()),
    };
    let of_stack: Vec<&WebhookEndpoint> = found.iter().filter(|endpoint| endpoint.url == url).collect();
    let [endpoint, others @ ..] = of_stack.as_slice() else {
        let similar = found.iter().find(|endpoint| is_similar(&endpoint.url, url));
        let (detail, fix) = match similar {
            Some(WebhookEndpoint { id, url: other, .. }) => {
                (format!("; {id} delivers to {other}"), format!("openai-webhooks endpoints update {id} --url {url}"))
            }
            None => (String::new(), "openai-webhooks endpoints create".to_owned()),
        };
        return findings.error(CHECK, format!("no endpoint of the project delivers to {url}{detail}"), fix);
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
    types(endpoint, client, handled, findings).await;
    if deliver {
        test(endpoint, client, findings).await;
    }
}

/// Has OpenAI make a delivery: the only proof that the stack has the endpoint's secret.
async fn test(endpoint: &WebhookEndpoint, client: &Client, findings: &mut Findings) {
    const CHECK: &str = "OpenAI's delivery";
    let id = &endpoint.id;
    let event_type = endpoint.event_types.first().map_or("response.completed", String::as_str);
    let answered = |status: u16| format!("a sample of {event_type} was answered {status}");
    match client.test_webhook_endpoint(id, event_type, deadline()).await {
        Ok(200) => findings.ok(CHECK, answered(200)),
        Ok(401) => findings.error(
            CHECK,
            format!("{}: the stack's secret is not that of {id}", answered(401)),
            format!("openai-webhooks endpoints rotate {id}"),
        ),
        Ok(status) => findings.error(
            CHECK,
            answered(status),
            "Compare with doctor's own delivery below. If that one is answered 200, check the proxies in between.",
        ),
        Err(error) if error.class() == ErrorClass::Unauthorized => findings.warn(
            CHECK,
            format!("the stack's key may not request one: {error}"),
            "With a key that may: OPENAI_API_KEY=... openai-webhooks endpoints test",
        ),
        Err(error) => findings.failed(CHECK, error.into()),
    }
}

/// Whether two URLs have the same host, and differ in scheme, slash or stage.
fn is_similar(one: &str, other: &str) -> bool {
    let host = |url: &str| url.parse().ok().and_then(|url: reqwest::Url| url.host_str().map(str::to_owned));
    host(one).is_some() && host(one) == host(other) && one.contains("/webhooks") && other.contains("/webhooks")
}

/// Checks that the stack gets the types that it handles, and handles those that it gets.
async fn types(endpoint: &WebhookEndpoint, client: &Client, handled: &[Category], findings: &mut Findings) {
    const CHECK: &str = "event types";
    let offered = match client.webhook_event_types(deadline()).await {
        Ok(offered) => offered,
        Err(error) => return findings.failed(CHECK, error.into()),
    };
    let WebhookEndpoint { id, event_types, .. } = endpoint;
    let is_handled = |name: &&String| handled.contains(&Category::of(name));
    // The archive takes every other type, so none of them is missing.
    let is_missing =
        |name: &&String| is_handled(name) && Category::of(name) != Category::Archive && !event_types.contains(name);
    let missing: Vec<&str> = offered.iter().filter(is_missing).map(String::as_str).collect();
    let unhandled: Vec<&str> = event_types.iter().filter(|name| !is_handled(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let all: Vec<&str> = event_types.iter().map(String::as_str).chain(missing.iter().copied()).collect();
        findings.warn(
            CHECK,
            format!("the stack handles, but {id} does not deliver: {}", missing.join(", ")),
            format!("openai-webhooks endpoints update {id} --event-types {}", all.join(",")),
        );
    }
    if !unhandled.is_empty() {
        findings.warn(
            CHECK,
            format!("{id} delivers, but the stack does not handle: {}", unhandled.join(", ")),
            "Handle their categories, or remove them with `openai-webhooks endpoints update --event-types`.",
        );
    }
    if missing.is_empty() && unhandled.is_empty() {
        findings.ok(CHECK, format!("{} are delivered", event_types.len()));
    }
}
