#![doc = include_str!("../README.md")]

mod category;
mod data;
mod delivery;
mod effect;
mod error;
mod event;
mod mac;
mod secret;
mod signature;
mod sip;

pub use category::{Category, UnknownCategory};
pub use data::EventData;
pub use delivery::{MAX_BODY, Signed, TOLERANCE, Verified, verify};
pub use effect::EffectKey;
pub use error::VerifyError;
pub use event::{Event, EventError};
pub use secret::{Scheme, SchemeError, Secret, SecretError};
pub use sip::{MAX_SIP_HEADERS, MAX_SIP_NAME, MAX_SIP_VALUE, SipHeader, SipInvite};
