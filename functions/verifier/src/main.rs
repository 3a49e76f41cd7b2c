//! Checks the signature of a delivery and queues its event.

fn main() {}
