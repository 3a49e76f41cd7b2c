//! Structured logs and metrics of every function.
//!
//! A function calls [`init`] first in its `main`. After that there are two kinds of lines, both JSON on standard output,
//! which goes to CloudWatch Logs:
//!
//! - **A boundary line** ([`Line`]): exactly one per event that enters a function, with the event's outcome and
//!   identifiers. Its metrics are on the same line in CloudWatch's embedded metric format, so a number on a dashboard
//!   leads to its lines.
//! - **`tracing::error!`, `warn!`, `info!`** for everything that is not about one event: a secret that cannot be read, a
//!   library's warning, a panic.
//!
//! Field names are dotted and lower case (`webhook.id`) and end with their unit, if any (`body.size_bytes`).
//! `error` means that somebody must act. A body, a secret or a signature is never a field.
//!
//! ```
//! use hooks_telemetry::{Line, Metric};
//!
//! hooks_telemetry::init();
//! Line::info("delivery accepted")
//!     .text("webhook.id", "wh_685c059ae39c8190af8c71ed1022a24d")
//!     .text("endpoint", "project")
//!     .text("outcome", "accepted")
//!     .metric(Metric::Deliveries, 1)
//!     .emit();
//! ```

mod line;
mod metric;
mod subscriber;

pub use line::Line;
pub use metric::{Metric, NAMESPACE};
pub use subscriber::init;
