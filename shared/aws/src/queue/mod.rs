//! The queue between the verifier and the consumers (SQS).
