//! Secrets Manager: the signing secrets with their rotation, and single secrets such as an API key.
