//! Checks for people: whether anybody is told of failures, and what is overdue.

use super::Findings;
use crate::alerts::subscribers;
use crate::context::Context;
use crate::error::Result;
use crate::expect::CATEGORIES;
use crate::output::counted;
use crate::timestamp::Timestamp;

/// Maximum number of overdue objects that are named, of each category.
const NAMED: u16 = 5;

const ALERTS: &str = "alerts";

/// Checks that somebody gets the alerts.
pub(super) async fn alerts(context: &Context, findings: &mut Findings) {
    match subscribers(context).await {
        Ok((confirmed, waiting)) => told(confirmed, waiting, findings),
        Err(error) => findings.failed(ALERTS, error),
    }
}

fn told(confirmed: usize, waiting: usize, findings: &mut Findings) {
    const FIX: &str = "Subscribe somebody: openai-webhooks alerts subscribe ADDRESS";
    match (confirmed, waiting) {
        (0, 0) => findings.warn(ALERTS, "nobody is subscribed, so nobody is told of failures", FIX),
        (0, waiting) => findings.warn(
            ALERTS,
            format!("{} not confirmed, so nobody is told of failures", are(waiting)),
            format!("Open the link in AWS's mail. Lost it? {FIX}"),
        ),
        (confirmed, _) => findings.ok(ALERTS, format!("{} confirmed", are(confirmed))),
    }
}

/// `1 subscription is`
fn are(count: usize) -> String {
    format!("{} {}", counted(count as u64, "subscription"), if count == 1 { "is" } else { "are" })
}

/// Checks that nothing expected is overdue.
pub(super) async fn expectations(context: &Context, findings: &mut Findings) {
    const CHECK: &str = "expectations";
    match overdue(context).await {
        Ok(late) if late.is_empty() => findings.ok(CHECK, "none is overdue"),
        Ok(late) => findings.warn(
            CHECK,
            format!("overdue: {}", late.join(", ")),
            "See all: openai-webhooks expect list --overdue. People are told within 30 minutes; if they were not, see whether \
             the alarm reconcile-stopped rings.",
        ),
        Err(error) => findings.failed(CHECK, error),
    }
}

/// The objects that should have ended by now, the first of each category, with when that was.
async fn overdue(context: &Context) -> Result<Vec<String>> {
    let ledger = context.ledger().await?;
    let mut late = Vec::new();
    for category in CATEGORIES {
        let page = ledger.waiting(category.as_str(), Timestamp::now().seconds(), None, NAMED + 1).await?;
        let named = page.items.iter().take(NAMED.into());
        late.extend(named.map(|one| format!("{} since {} UTC", one.object_id, at(one.due_at))));
        if page.items.len() > NAMED.into() {
            late.push(format!("more of {category}"));
        }
    }
    Ok(late)
}

fn at(seconds: i64) -> String {
    Timestamp::from_seconds(seconds).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_confirmed_is_not_told() {
        let mut findings = Findings::default();
        for (confirmed, waiting) in [(0, 0), (0, 1), (2, 1)] {
            told(confirmed, waiting, &mut findings);
        }
        let details: Vec<_> = findings.0.iter().map(|finding| finding.detail.as_str()).collect();
        assert_eq!(
            details,
            [
                "nobody is subscribed, so nobody is told of failures",
                "1 subscription is not confirmed, so nobody is told of failures",
                "2 subscriptions are confirmed",
            ]
        );
        assert!(findings.0[2].fix.is_none());
    }
}
