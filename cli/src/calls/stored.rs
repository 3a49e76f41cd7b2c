//! The policy that the stack has stored.

use hooks_operate::call_policy;
pub(crate) use hooks_operate::call_policy::Stored;
use hooks_policy::Location;

use crate::context::Context;
use crate::error::Result;

/// Where the stack stores its policy.
pub(super) async fn location(context: &Context) -> Result<Location> {
    Ok(call_policy::location(context.stack().await?)?)
}

/// Reads the stored policy.
pub(crate) async fn read(context: &Context) -> Result<Stored> {
    Ok(call_policy::stored(context.aws().await?, context.stack().await?).await?)
}
