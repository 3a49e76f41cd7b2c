//! Parts of pages: the frame, states, ids, times, charts. Every value of others is escaped by maud.

pub(crate) mod chart;
pub(crate) mod format;
pub(crate) mod icons;
pub(crate) mod layout;
pub(crate) mod parts;

pub(crate) use layout::{Page, Place};
