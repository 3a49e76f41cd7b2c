//! The one line that an event leaves at a function's boundary.

use crate::json::Object;
use crate::metric::{Metric, NAMESPACE};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A line of the log with its fields and metrics; nothing is written before [`emit`](Self::emit).
///
/// The members are written in the order of the calls. Names must be plain identifiers with dots.
#[must_use = "a line is written by `emit`"]
pub struct Line {
    object: Object,
    now: SystemTime,
    /// The directives of the embedded metric format, comma-separated, the last one still open.
    directives: String,
    /// The dimensions of the open directive.
    dimensions: Option<&'static [&'static str]>,
}

impl Line {
    /// Something went as it should.
    pub fn info(message: &str) -> Self {
        Self::new("INFO", message, SystemTime::now())
    }

    /// Something was refused or must be tried again; nobody has to act.
    pub fn warn(message: &str) -> Self {
        Self::new("WARN", message, SystemTime::now())
    }

    /// Somebody must act.
    pub fn error(message: &str) -> Self {
        Self::new("ERROR", message, SystemTime::now())
    }

    fn new(level: &str, message: &str, now: SystemTime) -> Self {
        Self { object: Object::new(level, message, now), now, directives: String::new(), dimensions: None }
    }

    /// Adds a text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.object.text(name, value);
        self
    }

    /// Adds a text if there is one.
    pub fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.object.number(name, value);
        self
    }

    /// Adds a metric's value, in the metric's unit. A metric can be added once.
    pub fn metric(mut self, metric: Metric, value: u64) -> Self {
        self.object.number(metric.name(), value);
        // Metrics of the same dimensions share a directive: every byte of a line is paid for.
        let shared = self.dimensions == Some(metric.dimensions());
        if !shared {
            self.directives.push_str(if self.dimensions.is_none() { "" } else { "]}," });
            for part in ["{\"Namespace\":\"", NAMESPACE, "\",\"Dimensions\":[["] {
                self.directives.push_str(part);
            }
            for (position, dimension) in metric.dimensions().iter().enumerate() {
                for part in [if position == 0 { "\"" } else { ",\"" }, dimension, "\""] {
                    self.directives.push_str(part);
                }
            }
            self.directives.push_str("]],\"Metrics\":[");
            self.dimensions = Some(metric.dimensions());
        }
        for part in
            [if shared { "," } else { "" }, "{\"Name\":\"", metric.name(), "\",\"Unit\":\"", metric.unit(), "\"}"]
        {
            self.directives.push_str(part);
        }
        self
    }

    /// Writes the line.
    pub fn emit(self) {
        self.finish().print();
    }

    fn finish(self) -> Object {
        let Self { mut object, now, directives, .. } = self;
        if !directives.is_empty() {
            let millis = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
            object.raw("_aws", format_args!("{{\"Timestamp\":{millis},\"CloudWatchMetrics\":[{directives}]}}]}}"));
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(line: Line) -> Value {
        serde_json::from_str(&line.finish().finish()).unwrap()
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
                "Deliveries": 1, "VerifyTime": 7, "EnqueueTime": 8,
                "_aws": {"Timestamp": 1_750_861_210_042_u64, "CloudWatchMetrics": [
                    {"Namespace": "OpenAIWebhooks", "Dimensions": [["endpoint", "outcome"]],
                     "Metrics": [{"Name": "Deliveries", "Unit": "Count"}]},
                    {"Namespace": "OpenAIWebhooks", "Dimensions": [[]],
                     "Metrics": [{"Name": "VerifyTime", "Unit": "Microseconds"},
                                 {"Name": "EnqueueTime", "Unit": "Microseconds"}]},
                ]},
            })
        );
    }

    #[test]
    fn a_line_without_metrics_is_no_metric_document() {
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
