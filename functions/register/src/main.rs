//! Registers the stack's webhook endpoint at OpenAI.

fn main() {}
