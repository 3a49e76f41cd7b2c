#![doc = include_str!("../README.md")]

mod category;
mod data;
mod delivery;
mod encoding;
mod event;
mod headers;
mod idempotency;
mod mac;
mod refusal;
mod secret;
mod short;
mod signature;
mod sip;

pub use category::{Category, UnknownCategory};
pub use data::EventData;
pub use delivery::{MAX_BODY, Signed, TOLERANCE, Verified, verify};
pub use event::{Event, MalformedEvent};
pub use idempotency::IdempotencyKey;
pub use refusal::Refusal;
pub use secret::{Scheme, Secret, SecretError, UnknownScheme};
pub use sip::{MAX_SIP_HEADERS, MAX_SIP_NAME, MAX_SIP_VALUE, SipHeader, SipInvite};
