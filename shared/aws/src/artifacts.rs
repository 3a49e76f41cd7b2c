//! What is worth keeping, in the stack's bucket (S3).
