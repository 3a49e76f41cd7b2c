//! The SQS batch harness under every consumer function.
