//! Rotates the signing secret of the stack's webhook endpoint.

fn main() {}
