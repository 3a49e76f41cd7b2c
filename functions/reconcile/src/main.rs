//! Finds what ended at OpenAI without a webhook, and what was expected and never came.

fn main() {}
