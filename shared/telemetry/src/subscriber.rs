//! What libraries and our own code say through `tracing`, as lines of JSON.

use crate::json::Object;
use std::fmt::{self, Write as _};
use std::panic::PanicHookInfo;
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Sets up logging for the process: events of `tracing` from `info` up, and panics, become lines of JSON on standard
/// output. Call it first in `main`; a second call changes nothing.
///
/// Spans are not kept: a line carries what it needs in its own fields. That makes this subscriber small enough for a
/// cold start, in which the usual one would be the largest part.
pub fn init() {
    if tracing::subscriber::set_global_default(Lines).is_ok() {
        std::panic::set_hook(Box::new(print_panic));
    }
}

fn print_panic(panic: &PanicHookInfo<'_>) {
    let mut object = Object::new("ERROR", "panicked", SystemTime::now());
    object.text("error", panic.payload_as_str().unwrap_or("unknown"));
    if let Some(location) = panic.location() {
        object.text("code.location", &location.to_string());
    }
    object.print();
}

/// The subscriber: stateless, since it keeps no spans.
struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        line_of(event, SystemTime::now()).print();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn line_of(event: &Event<'_>, now: SystemTime) -> Object {
    let mut message = Message(String::new());
    event.record(&mut message);
    let mut object = Object::new(event.metadata().level().as_str(), &message.0, now);
    object.text("target", event.metadata().target());
    event.record(&mut Fields(&mut object));
    object
}

/// Takes the message out of an event's fields, since it comes first in the line.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// Writes an event's other fields.
struct Fields<'a>(&'a mut Object);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.0.text(field.name(), &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.raw(field.name(), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.raw(field.name(), format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use std::time::UNIX_EPOCH;

    /// Renders what `Lines` would print, and lets through what `Lines` lets through.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Value>>>);

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            Lines.enabled(metadata)
        }

        fn event(&self, event: &Event<'_>) {
            let line = line_of(event, UNIX_EPOCH).finish();
            self.0.lock().unwrap().push(serde_json::from_str(&line).unwrap());
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    fn lines_of(speak: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        tracing::subscriber::with_default(kept.clone(), speak);
        Arc::try_unwrap(kept.0).unwrap().into_inner().unwrap()
    }

    #[test]
    fn an_event_becomes_a_line_with_typed_fields() {
        let name = "project";
        let lines = lines_of(|| {
            tracing::warn!(endpoint = name, attempt = 2_u64, offset = -3, last = true, error = %"no \"way\"", "read {name}");
        });
        let expected = json!([{
            "timestamp": "1970-01-01T00:00:00.000Z", "level": "WARN", "message": "read project",
            "target": "telemetry::subscriber::tests",
            "endpoint": "project", "attempt": 2, "offset": -3, "last": true, "error": "no \"way\"",
        }]);
        assert_eq!(Value::from(lines), expected);
    }

    #[test]
    fn what_libraries_say_for_their_own_developers_stays_out() {
        let lines = lines_of(|| {
            let _span = tracing::info_span!("request").entered();
            tracing::debug!(body = "never shown");
            tracing::trace!(body = "never shown");
        });
        assert_eq!(lines, Vec::<Value>::new());
    }
}
