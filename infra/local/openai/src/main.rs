//! Plays OpenAI for local runs and tests: files, batches, signed webhook deliveries.

fn main() {}
