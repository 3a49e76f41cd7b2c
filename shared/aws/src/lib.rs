//! What the functions ask of AWS, one module per need.
