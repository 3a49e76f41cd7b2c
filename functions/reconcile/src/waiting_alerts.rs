//! Part of the task `expectations`: the alerts that wait for the end of their window.

use hooks_aws::alerts::Alerts;
use hooks_function::Error;
use tokio::time::{Instant, timeout_at};

use crate::services::Services;

/// Tells people of the alerts that were counted in place of being sent, until a point in time. What is not told then
/// still waits.
pub(crate) async fn tell(services: &Services, until: Instant) -> Result<(), Error> {
    let alerts = Alerts::new(services.reconciler.ledger.clone(), services.reconciler.outcomes.clone());
    let told = timeout_at(until, alerts.tell_waiting()).await??;
    if told > 0 {
        tracing::info!("told people of {told} groups of alerts");
    }
    Ok(())
}
