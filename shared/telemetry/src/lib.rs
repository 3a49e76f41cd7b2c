//! Structured logs and metrics, set up once for every function.
//!
//! [`init`] comes first in a function's `main`. After that there are two ways to say something, and both end as one
//! line of JSON on standard output, where CloudWatch Logs picks it up:
//!
//! - **A boundary line** ([`Line`]): each event that enters a function leaves exactly one, with what was done with it
//!   and its identifiers. Its metrics ride on the same line in CloudWatch's embedded metric format, so a number on a
//!   dashboard leads to the very lines that made it.
//! - **`tracing::error!` and its siblings** for what is not about one event: a secret that cannot be read, a library's
//!   warning, a panic.
//!
//! Field names are dotted and lower case (`webhook.id`), and carry their unit when they have one (`body.size_bytes`).
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

mod json;
mod line;
mod metric;
mod subscriber;

pub use line::Line;
pub use metric::{Metric, NAMESPACE};
pub use subscriber::init;
