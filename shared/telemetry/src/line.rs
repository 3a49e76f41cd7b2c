//! The boundary line: one line of the log per event, with its metrics in CloudWatch's embedded metric format.

use crate::metric::{Metric, NAMESPACE};
use serde::Serialize;
use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name of the stack, so that those of one account do not add up.
static STACK: LazyLock<String> = LazyLock::new(|| std::env::var("STACK_NAME").unwrap_or_else(|_| "unknown".to_owned()));

/// A line of the log with its fields and metrics; [`emit`](Self::emit) writes it.
///
/// Members are written in the order of the calls. Names must be identifiers with dots, which need no JSON escapes.
#[must_use = "`emit` writes the line"]
pub struct Line {
    /// The JSON object, still open.
    json: Vec<u8>,
    now: SystemTime,
    metrics: Vec<Metric>,
}

impl Line {
    /// A line about a success.
    pub fn info(message: &str) -> Self {
        Self::new("INFO", message, SystemTime::now())
    }

    /// A line about a rejection or a retry; nobody has to act.
    pub fn warn(message: &str) -> Self {
        Self::new("WARN", message, SystemTime::now())
    }

    /// A line about a failure that somebody must act on.
    pub fn error(message: &str) -> Self {
        Self::new("ERROR", message, SystemTime::now())
    }

    fn new(level: &str, message: &str, now: SystemTime) -> Self {
        let mut json = Vec::with_capacity(1_024);
        // Writing into memory cannot fail, here and below.
        let _ = write!(json, "{{\"timestamp\":\"{}\"", humantime::format_rfc3339_millis(now));
        Self { json, now, metrics: Vec::new() }.text("level", level).text("message", message)
    }

    /// Adds a text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.member(name, value);
        self
    }

    /// Adds a text, if present.
    pub fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.member(name, &value);
        self
    }

    /// Adds a metric's value in the metric's unit. A metric can be added once.
    ///
    /// A value of 0 becomes a number of the line and no metric: CloudWatch charges for a metric once it got a value.
    pub fn metric(mut self, metric: Metric, value: u64) -> Self {
        if value > 0 {
            self.metrics.push(metric);
        }
        self.number(metric.name(), value)
    }

    /// Writes the line to standard output, in one call, so that lines of concurrent tasks never mix.
    pub fn emit(self) {
        // A closed standard output must not fail the function.
        let _ = std::io::stdout().lock().write_all(&self.finish());
    }

    fn finish(mut self) -> Vec<u8> {
        if !self.metrics.is_empty() {
            // Consecutive metrics of the same dimensions share a directive, because CloudWatch charges by the byte.
            let groups = self.metrics.chunk_by(|a, b| a.dimensions() == b.dimensions());
            let metadata = Metadata {
                timestamp: self.now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis(),
                cloud_watch_metrics: groups.map(Directive::of).collect(),
            };
            self.member("stack", STACK.as_str());
            self.member("_aws", &metadata);
        }
        self.json.extend_from_slice(b"}\n");
        self.json
    }

    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let _ = write!(self.json, ",\"{name}\":");
        let _ = serde_json::to_writer(&mut self.json, value);
    }
}

/// The member `_aws` of the embedded metric format.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u128,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [&'static [&'static str]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

impl Directive {
    /// The directive of metrics that share their dimensions.
    fn of(metrics: &[Metric]) -> Self {
        let definition = |metric: &Metric| Definition { name: metric.name(), unit: metric.unit() };
        Self {
            namespace: NAMESPACE,
            dimensions: [metrics[0].dimensions()],
            metrics: metrics.iter().map(definition).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(line: Line) -> Value {
        serde_json::from_slice(&line.finish()).unwrap()
    }

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_750_861_210_042)
    }

    #[test]
    fn a_line_carries_its_fields_and_its_metrics() {
        let line = Line::new("INFO", "delivery accepted", noon())
            .text("endpoint", "project")
            .text("outcome", "accepted")
            .maybe("object.id", None)
            .number("body.size_bytes", 2_048)
            .metric(Metric::Deliveries, 1)
            .metric(Metric::VerifyTime, 7)
            .metric(Metric::EnqueueTime, 8);
        assert_eq!(
            parse(line),
            json!({
                "timestamp": "2025-06-25T14:20:10.042Z", "level": "INFO", "message": "delivery accepted",
                "endpoint": "project", "outcome": "accepted", "body.size_bytes": 2_048,
                "Deliveries": 1, "VerifyTime": 7, "EnqueueTime": 8, "stack": "unknown",
                "_aws": {"Timestamp": 1_750_861_210_042_u64, "CloudWatchMetrics": [
                    {"Namespace": "OpenAIWebhooks", "Dimensions": [["stack", "endpoint", "outcome"]],
                     "Metrics": [{"Name": "Deliveries", "Unit": "Count"}]},
                    {"Namespace": "OpenAIWebhooks", "Dimensions": [["stack"]],
                     "Metrics": [{"Name": "VerifyTime", "Unit": "Microseconds"},
                                 {"Name": "EnqueueTime", "Unit": "Microseconds"}]},
                ]},
            })
        );
    }

    #[test]
    fn the_members_keep_their_order_on_the_wire() {
        let line = Line::new("INFO", "m", noon()).metric(Metric::Deliveries, 1).metric(Metric::VerifyTime, 7);
        let expected = concat!(
            r#"{"timestamp":"2025-06-25T14:20:10.042Z","level":"INFO","message":"m","Deliveries":1,"VerifyTime":7,"#,
            r#""stack":"unknown","#,
            r#""_aws":{"Timestamp":1750861210042,"CloudWatchMetrics":["#,
            r#"{"Namespace":"OpenAIWebhooks","Dimensions":[["stack","endpoint","outcome"]],"#,
            r#""Metrics":[{"Name":"Deliveries","Unit":"Count"}]},"#,
            r#"{"Namespace":"OpenAIWebhooks","Dimensions":[["stack"]],"#,
            r#""Metrics":[{"Name":"VerifyTime","Unit":"Microseconds"}]}]}}"#,
            "\n"
        );
        assert_eq!(str::from_utf8(&line.finish()).unwrap(), expected);
    }

    #[test]
    fn any_text_stays_on_one_line_of_json() {
        let nasty = "a\"b\\c\nd\te\u{0}f\u{1f}\u{7f} ünïcode \u{2028}";
        let line = Line::new("INFO", nasty, noon()).text("field", nasty);
        assert!(!line.json.contains(&b'\n'));
        let parsed = parse(line);
        assert_eq!(parsed["field"], nasty);
        assert_eq!(parsed["message"], nasty);
    }

    #[test]
    fn a_value_of_zero_is_in_the_line_and_is_not_a_metric() {
        let line = Line::new("INFO", "m", noon()).metric(Metric::Reconciled, 0).metric(Metric::Overdue, 2);
        let line = parse(line);
        assert_eq!((&line["Reconciled"], &line["Overdue"]), (&json!(0), &json!(2)));
        let metrics = json!([{"Name": "Overdue", "Unit": "Count"}]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(), 1);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], metrics);
        assert_eq!(parse(Line::new("INFO", "m", noon()).metric(Metric::Reconciled, 0)).get("_aws"), None);
    }

    #[test]
    fn a_line_without_metrics_is_not_a_metric_document() {
        assert_eq!(parse(Line::new("WARN", "later", noon())).get("_aws"), None);
    }

    #[test]
    fn every_metric_makes_a_directive_with_a_unit_that_cloudwatch_knows() {
        for metric in Metric::ALL {
            let line = parse(Line::new("INFO", "m", noon()).metric(metric, 3));
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Dimensions"][0], json!(metric.dimensions()));
            let unit = directive["Metrics"][0]["Unit"].as_str().unwrap();
            assert!(["Count", "Microseconds", "Milliseconds", "Bytes"].contains(&unit), "{unit}");
            assert_eq!(line[metric.name()], 3);
        }
    }
}
