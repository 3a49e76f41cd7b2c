//! Who is told of failures: the subscriptions of the stack's topic, and a test.

use aws_sdk_sns::Client;
use aws_sdk_sns::operation::get_subscription_attributes::GetSubscriptionAttributesError;
use hooks_aws::Config;
use hooks_aws::outcomes::{Notice, Outcomes, Severity};
use hooks_webhook::Category;
use serde_json::{Map, Value, json};

use crate::error::{OperateError, Result, failed};

const PERMISSIONS: &str = "Your AWS identity needs sns:ListSubscriptionsByTopic, sns:GetSubscriptionAttributes, sns:Subscribe and \
                           sns:Publish on the stack's topic.";

/// What SNS says instead of an ARN until the subscriber has confirmed.
const PENDING: &str = "PendingConfirmation";

/// Longest endpoint of a subscription, in bytes.
const MAX_ENDPOINT: usize = 2048;

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `email`, `https`, `sqs`, `lambda`, ...
    pub protocol: String,
    /// Address.
    pub endpoint: String,
    /// Whether it was confirmed.
    pub is_confirmed: bool,
    /// Filter by attributes, as SNS has it; `None` for all alerts.
    pub filter: Option<String>,
}

/// The alerts' topic of a stack. Cheap to clone.
#[derive(Clone)]
pub struct Topic {
    client: Client,
    /// The way to the subscribers alone: nothing is sent to a bus.
    people: Outcomes,
    arn: String,
}

impl Topic {
    /// The topic of this ARN.
    #[must_use]
    pub fn new(aws: &Config, arn: &str) -> Self {
        Self { client: Client::new(aws.sdk()), people: Outcomes::new(aws, "", arn), arn: arn.to_owned() }
    }

    /// All subscriptions. Needs `sns:ListSubscriptionsByTopic` and, for filters, `sns:GetSubscriptionAttributes`.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>> {
        let mut pages = self.client.list_subscriptions_by_topic().topic_arn(&self.arn).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list the subscriptions", &error, PERMISSIONS))?;
            for one in page.subscriptions.unwrap_or_default() {
                let arn = one.subscription_arn.filter(|arn| arn.starts_with("arn:"));
                let filter = match &arn {
                    Some(arn) => self.filter(arn).await?,
                    None => None,
                };
                found.push(Subscription {
                    protocol: one.protocol.unwrap_or_default(),
                    endpoint: one.endpoint.unwrap_or_default(),
                    is_confirmed: arn.is_some(),
                    filter: filter.filter(|filter| !filter.is_empty() && filter != "{}"),
                });
            }
        }
        found.sort_by(|one, other| (&one.protocol, &one.endpoint).cmp(&(&other.protocol, &other.endpoint)));
        Ok(found)
    }

    /// The filter of a subscription, also of one that has gone since it was listed.
    async fn filter(&self, subscription: &str) -> Result<Option<String>> {
        let asked = self.client.get_subscription_attributes().subscription_arn(subscription).send().await;
        match asked {
            Ok(found) => Ok(found.attributes.and_then(|mut found| found.remove("FilterPolicy"))),
            Err(error)
                if error.as_service_error().is_some_and(GetSubscriptionAttributesError::is_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("read the filter of a subscription", &error, PERMISSIONS)),
        }
    }

    /// Subscribes an e-mail address or an https URL. `true` if it needs no confirmation. Needs `sns:Subscribe`.
    pub async fn subscribe(&self, endpoint: &str, filter: Option<&str>) -> Result<bool> {
        let request = self.client.subscribe().topic_arn(&self.arn).protocol(protocol(endpoint)).endpoint(endpoint);
        let request = match filter {
            Some(filter) => request.attributes("FilterPolicy", filter),
            None => request,
        };
        let made = request.send().await.map_err(|error| failed("subscribe", &error, PERMISSIONS))?;
        Ok(made.subscription_arn.is_some_and(|arn| !arn.eq_ignore_ascii_case(PENDING) && arn.starts_with("arn:")))
    }

    /// Sends a test of this severity to all who are subscribed and whose filter fits. Needs `sns:Publish`.
    pub async fn test(&self, stack: &str, severity: Severity) -> Result<()> {
        let message = format!(
            "A test of the alerts of {stack}.\n\nWhat   nothing happened\nTo do  nothing: you are told of failures\n\
             Where  `openai-webhooks alerts list`\n"
        );
        let notice = Notice {
            category: "test",
            event_type: "alerts.test",
            reason: "alerts.test",
            id: "",
            severity: severity.as_str(),
            subject: &format!("Test of the alerts of {stack}"),
            message: &message,
        };
        self.people.alert(&notice).await.map_err(|error| OperateError::service(error.to_string()).hint(PERMISSIONS))
    }
}

/// `https` or `email`.
#[must_use]
pub fn protocol(endpoint: &str) -> &'static str {
    if endpoint.contains("://") { "https" } else { "email" }
}

/// The filter of a subscription to these severities and categories; `None` for all alerts.
#[must_use]
pub fn filter(severities: &[Severity], categories: &[Category]) -> Option<String> {
    let severities: Vec<_> = severities.iter().map(|one| one.as_str()).collect();
    let categories: Vec<_> = categories.iter().map(|one| one.as_str()).collect();
    let mut filter = Map::new();
    for (name, values) in [("severity", severities), ("category", categories)] {
        if !values.is_empty() {
            filter.insert(name.to_owned(), values.into_iter().collect::<Value>());
        }
    }
    (!filter.is_empty()).then(|| json!(filter).to_string())
}

/// Whether this is an e-mail address or an https URL.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let is_short = !text.is_empty() && text.len() <= MAX_ENDPOINT && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_url = text.starts_with("https://") && text.len() > "https://".len();
    let is_address =
        text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
    is_short && (is_url || (is_address && !text.contains('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_or_an_https_url() {
        for good in ["a@example.com", "https://events.pagerduty.com/integration/x/enqueue"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in
            ["", "a", "a@b", "http://example.com", "https://", "a b@example.com", "a@b@example.com", "mailto://a@b.c"]
        {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }

    #[test]
    fn a_filter_has_what_is_given_only() {
        assert_eq!(filter(&[], &[]), None);
        assert_eq!(filter(&[Severity::Critical], &[]).unwrap(), r#"{"severity":["critical"]}"#);
    }
}
