//! Keeps the results of a finished batch.

fn main() {}
