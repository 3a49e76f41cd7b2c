//! `CloudWatch` metrics. Needs `cloudwatch:ListMetrics` and `cloudwatch:GetMetricData`, which take no resources.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{Dimension, DimensionFilter, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_smithy_types::DateTime;
use hooks_aws::Config;

use crate::error::{Result, failed};

/// Maximum number of metrics in one call of `GetMetricData`. A metric of ours has fewer dimensions than that.
const MAX_QUERIES: usize = 500;

/// Window in which the age of a queue's oldest message is looked up.
const AGE_WINDOW: Duration = Duration::from_mins(15);

const PERMISSIONS: &str = "Your AWS identity needs cloudwatch:ListMetrics and cloudwatch:GetMetricData.";

const NAMESPACE: &str = "OpenAIWebhooks";

/// The sums of a metric of the stack in the last `window`, by the values of two dimensions; only those with data.
pub async fn sums(
    config: &Config,
    stack: &str,
    name: &str,
    (first, second): (&str, &str),
    window: Duration,
) -> Result<BTreeMap<(String, String), u64>> {
    let client = Client::new(config.sdk());
    let metrics = list(&client, stack, name).await?;
    let values = values(&client, &metrics, "Sum", window, 3600).await?;
    let mut sums = BTreeMap::new();
    for (metric, values) in metrics.iter().zip(values) {
        let value = |name| {
            let dimension = metric.dimensions().iter().find(|one| one.name() == Some(name));
            dimension.and_then(Dimension::value).unwrap_or_default().to_owned()
        };
        let sum = whole(values.iter().sum::<f64>());
        if sum > 0 {
            *sums.entry((value(first), value(second))).or_default() += sum;
        }
    }
    Ok(sums)
}

/// Sums of a metric of the stack in buckets of `period` seconds, by the value of one dimension, the oldest bucket first.
/// `starts` are the buckets' beginnings in milliseconds.
pub async fn buckets(
    config: &Config,
    stack: &str,
    name: &str,
    dimension: &str,
    starts: &[i64],
    period: i32,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let client = Client::new(config.sdk());
    let metrics = list(&client, stack, name).await?;
    let mut buckets = BTreeMap::<String, Vec<u64>>::new();
    let Some(first) = starts.first().filter(|_| !metrics.is_empty()) else { return Ok(buckets) };
    let queries = metrics.iter().enumerate().map(|(at, metric)| query(at, metric, "Sum", period));
    let request = client.get_metric_data().set_metric_data_queries(Some(queries.collect()));
    let request = request.start_time(DateTime::from_millis(*first)).end_time(DateTime::from(SystemTime::now()));
    let mut pages = request.scan_by(ScanBy::TimestampAscending).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("read the metrics", &error, PERMISSIONS))?;
        for result in page.metric_data_results.unwrap_or_default() {
            let metric = result.id.as_deref().and_then(|id| metrics.get(id.strip_prefix('m')?.parse::<usize>().ok()?));
            let named = metric.and_then(|metric| metric.dimensions().iter().find(|one| one.name() == Some(dimension)));
            let sums = buckets.entry(named.and_then(Dimension::value).unwrap_or_default().to_owned()).or_default();
            sums.resize(starts.len(), 0);
            for (time, value) in result.timestamps().iter().zip(result.values()) {
                let millis = time.secs().saturating_mul(1000);
                if let Some(at) = starts.iter().rposition(|start| *start <= millis) {
                    sums[at] += whole(*value);
                }
            }
        }
    }
    buckets.retain(|_, sums| sums.iter().any(|sum| *sum > 0));
    Ok(buckets)
}

/// The metrics of this name that the stack has.
async fn list(client: &Client, stack: &str, name: &str) -> Result<Vec<Metric>> {
    let of_stack = DimensionFilter::builder().name("stack").value(stack).build();
    let listed = client.list_metrics().namespace(NAMESPACE).metric_name(name).dimensions(of_stack);
    let (mut metrics, mut pages) = (Vec::new(), listed.into_paginator().send());
    while let Some(page) = pages.next().await
        && metrics.len() < MAX_QUERIES
    {
        metrics
            .extend(page.map_err(|error| failed("list the metrics", &error, PERMISSIONS))?.metrics.unwrap_or_default());
    }
    metrics.truncate(MAX_QUERIES);
    Ok(metrics)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and positive")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

fn query(at: usize, metric: &Metric, statistic: &str, period: i32) -> MetricDataQuery {
    let statistic = MetricStat::builder().metric(metric.clone()).period(period).stat(statistic).build();
    MetricDataQuery::builder().id(format!("m{at}")).metric_stat(statistic).build()
}

/// The age of each queue's oldest message in seconds; `None` without recent data, as for queues that are not used.
pub async fn oldest_ages(config: &Config, queues: &[&str]) -> Result<Vec<Option<f64>>> {
    let metrics: Vec<_> = queues
        .iter()
        .map(|queue| {
            let dimension = Dimension::builder().name("QueueName").value(*queue).build();
            let metric = Metric::builder().namespace("AWS/SQS").metric_name("ApproximateAgeOfOldestMessage");
            metric.dimensions(dimension).build()
        })
        .collect();
    let values = values(&Client::new(config.sdk()), &metrics, "Maximum", AGE_WINDOW, 60).await?;
    Ok(values.into_iter().map(|values| values.last().copied()).collect())
}

/// The values of each metric in the last `window`, oldest first.
async fn values(
    client: &Client,
    metrics: &[Metric],
    statistic: &str,
    window: Duration,
    period: i32,
) -> Result<Vec<Vec<f64>>> {
    let mut values = vec![Vec::new(); metrics.len()];
    if metrics.is_empty() {
        return Ok(values);
    }
    let queries = metrics.iter().enumerate().map(|(at, metric)| query(at, metric, statistic, period));
    let now = SystemTime::now();
    let request = client.get_metric_data().set_metric_data_queries(Some(queries.collect()));
    let request = request.start_time(DateTime::from(now - window)).end_time(DateTime::from(now));
    let mut pages = request.scan_by(ScanBy::TimestampAscending).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("read the metrics", &error, PERMISSIONS))?;
        for result in page.metric_data_results.unwrap_or_default() {
            let at = result.id.as_deref().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
            if let Some(values) = at.and_then(|at| values.get_mut(at)) {
                values.extend(result.values.unwrap_or_default());
            }
        }
    }
    Ok(values)
}
