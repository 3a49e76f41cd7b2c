#![doc = include_str!("../README.md")]

mod call_api;
mod category;
mod data;
mod delivery;
mod error;
mod event;
mod idempotency;
mod json;
mod mac;
mod mask;
mod request;
mod secret;
mod signature;
mod sip;

pub use call_api::CallApi;
pub use category::{Category, CategoryError};
pub use data::EventData;
pub use delivery::{MAX_BODY, Signed, TOLERANCE, Verified, verify};
pub use error::VerifyError;
pub use event::{Event, EventError};
pub use idempotency::IdempotencyKey;
pub use json::Json;
pub use mask::{PERSONAL, masked};
pub use request::{Request, reject_joined_headers};
pub use secret::{Scheme, SchemeError, Secret, SecretError};
pub use sip::{MAX_SIP_ADDRESSES, MAX_SIP_HEADERS, MAX_SIP_NAME, MAX_SIP_VALUE, SipHeader, SipInvite};
