//! Structured logs and metrics, set up once for every function.
