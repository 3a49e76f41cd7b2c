//! `CloudWatch` metrics. Needs `cloudwatch:ListMetrics` and `cloudwatch:GetMetricData`, which take no resources.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use aws_smithy_types::DateTime;
use hooks_aws::Config;

use super::failed;
use crate::error::Result;

/// Time limit of one attempt of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of metrics in one call of `GetMetricData`. A metric of ours has fewer dimensions than that.
const MAX_QUERIES: usize = 500;

/// Window in which the age of a queue's oldest message is looked up.
const AGE_WINDOW: Duration = Duration::from_mins(15);

/// A metric's dimensions and the sum of its values.
type Sum = (BTreeMap<String, String>, f64);

/// The metrics of the account and region. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    client: Client,
}

impl Metrics {
    pub(crate) fn new(config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = aws_sdk_cloudwatch::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config) }
    }

    /// The sums of a metric in the last `window`, by its dimensions; only those with data.
    pub(crate) async fn sums(&self, namespace: &str, name: &str, window: Duration) -> Result<Vec<Sum>> {
        let mut metrics = Vec::new();
        let mut pages = self.client.list_metrics().namespace(namespace).metric_name(name).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list the metrics", &error))?;
            metrics.extend(page.metrics.unwrap_or_default());
            if metrics.len() >= MAX_QUERIES {
                metrics.truncate(MAX_QUERIES);
                break;
            }
        }
        let values = self.values(&metrics, "Sum", window, 3600).await?;
        let found = metrics.iter().zip(values).filter(|(_, values)| !values.is_empty());
        Ok(found.map(|(metric, values)| (dimensions(metric), values.into_iter().sum())).collect())
    }

    /// The age of each queue's oldest message in seconds; `None` without recent data, as for queues that are not used.
    pub(crate) async fn oldest_ages(&self, queues: &[String]) -> Result<Vec<Option<f64>>> {
        let metrics: Vec<_> = queues
            .iter()
            .map(|queue| {
                let dimension = Dimension::builder().name("QueueName").value(queue).build();
                let metric = Metric::builder().namespace("AWS/SQS").metric_name("ApproximateAgeOfOldestMessage");
                metric.dimensions(dimension).build()
            })
            .collect();
        let values = self.values(&metrics, "Maximum", AGE_WINDOW, 60).await?;
        Ok(values.into_iter().map(|values| values.last().copied()).collect())
    }

    /// The values of each metric in the last `window`, oldest first.
    async fn values(
        &self,
        metrics: &[Metric],
        statistic: &str,
        window: Duration,
        period: i32,
    ) -> Result<Vec<Vec<f64>>> {
        let mut values = vec![Vec::new(); metrics.len()];
        if metrics.is_empty() {
            return Ok(values);
        }
        let queries = metrics.iter().enumerate().map(|(at, metric)| {
            let statistic = MetricStat::builder().metric(metric.clone()).period(period).stat(statistic).build();
            MetricDataQuery::builder().id(format!("m{at}")).metric_stat(statistic).build()
        });
        let now = SystemTime::now();
        let request = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from(now - window))
            .end_time(DateTime::from(now))
            .scan_by(aws_sdk_cloudwatch::types::ScanBy::TimestampAscending);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("read the metrics", &error))?;
            for result in page.metric_data_results.unwrap_or_default() {
                let at = result.id.as_deref().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
                if let Some(values) = at.and_then(|at| values.get_mut(at)) {
                    values.extend(result.values.unwrap_or_default());
                }
            }
        }
        Ok(values)
    }
}

fn dimensions(metric: &Metric) -> BTreeMap<String, String> {
    let named = |dimension: &Dimension| Some((dimension.name.clone()?, dimension.value.clone()?));
    metric.dimensions().iter().filter_map(named).collect()
}
