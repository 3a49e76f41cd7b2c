//! Between HTTP and the pages: who is it, what may they, in which form is it answered.

pub(crate) mod assets;
pub(crate) mod encode;
pub(crate) mod gate;
pub(crate) mod hosted;
pub(crate) mod kept;
pub(crate) mod loopback;
pub(crate) mod oidc;
pub(crate) mod problem;
pub(crate) mod session;
pub(crate) mod tokens;
