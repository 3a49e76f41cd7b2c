//! `tracing` events as lines of JSON.

use std::fmt;
use std::panic::PanicHookInfo;
use std::time::SystemTime;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

/// Sets up logging for the process: `tracing` events from `info` up, and panics, become lines of JSON on standard
/// output. Call it first in `main`; a second call changes nothing.
///
/// Spans are disabled: a line carries all its fields itself, and the Lambda runtime would pay for a span per invocation.
pub fn init() {
    if tracing::subscriber::set_global_default(json_lines(std::io::stdout, Timestamp(SystemTime::now))).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let error = panic.payload_as_str().unwrap_or("unknown");
    let location = panic.location().map(ToString::to_string);
    tracing::error!(error, code.location = location, "panicked");
}

fn json_lines<W>(writer: W, timestamp: Timestamp) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
    let lines = lines.with_current_span(false).with_span_list(false).with_timer(timestamp).with_writer(writer);
    let events = filter_fn(|metadata| metadata.is_event() && *metadata.level() <= Level::INFO);
    tracing_subscriber::registry().with(lines).with(events.with_max_level_hint(LevelFilter::INFO))
}

/// RFC 3339 in UTC with milliseconds, as in Lambda's own lines, from a clock.
struct Timestamp(fn() -> SystemTime);

impl FormatTime for Timestamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", humantime::format_rfc3339_millis((self.0)()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    fn lines_of(log: impl FnOnce()) -> Vec<Value> {
        let written: &Mutex<Vec<u8>> = Box::leak(Box::default());
        let subscriber = json_lines(|| Into(written), Timestamp(|| UNIX_EPOCH));
        tracing::subscriber::with_default(subscriber, log);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    struct Into(&'static Mutex<Vec<u8>>);

    impl std::io::Write for Into {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_becomes_a_line_with_typed_fields() {
        let name = "project";
        let lines = lines_of(|| {
            tracing::warn!(endpoint = name, attempt = 2_u64, offset = -3, last = true, error = %"no \"way\"", "read {name}");
        });
        let expected = json!([{
            "timestamp": "1970-01-01T00:00:00.000Z", "level": "WARN", "message": "read project",
            "target": "hooks_telemetry::subscriber::tests",
            "endpoint": "project", "attempt": 2, "offset": -3, "last": true, "error": "no \"way\"",
        }]);
        assert_eq!(Value::from(lines), expected);
    }

    #[test]
    fn debug_events_and_spans_of_libraries_are_left_out() {
        let lines = lines_of(|| {
            let _span = tracing::info_span!("request").entered();
            tracing::debug!(body = "never shown");
            tracing::trace!(body = "never shown");
        });
        assert_eq!(lines, Vec::<Value>::new());
    }

    #[test]
    fn a_panic_becomes_a_line_with_its_place() {
        std::panic::set_hook(Box::new(log_panic));
        let lines = lines_of(|| _ = std::panic::catch_unwind(|| panic!("on purpose")));
        drop(std::panic::take_hook());
        assert_eq!(lines[0]["message"], "panicked");
        assert_eq!(lines[0]["error"], "on purpose");
        assert!(lines[0]["code.location"].as_str().unwrap().contains("subscriber.rs:"), "{lines:?}");
    }
}
