//! Keeps the records of fine-tuning jobs, asks a new model a question, and promotes it when it answers: the model's name
//! becomes the value of a parameter that other programs read.
//!
//! The status of the retrieved job decides, not the event type, so every `fine_tuning.*` type is handled.

mod alert;
mod alias;
mod handler;
mod promotion;
mod smoke_test;

pub use handler::FineTuningHandler;
