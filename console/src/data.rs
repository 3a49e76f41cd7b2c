//! What pages and API show, read from the stack.

pub(crate) mod batches;
pub(crate) mod calls;
pub(crate) mod deliveries;
pub(crate) mod filter;
pub(crate) mod letters;
pub(crate) mod objects;
pub(crate) mod prices;
pub(crate) mod retry;
pub(crate) mod setup;
pub(crate) mod submit;
pub(crate) mod survey;
pub(crate) mod views;
