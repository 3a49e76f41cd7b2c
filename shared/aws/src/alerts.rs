//! Alerts for people, grouped.
//!
//! The first alert of a (category, reason, severity) is sent at once and opens a window of 15 minutes. Those that follow
//! in it are counted, and told in one message when it is over: by [`Alerts::tell_waiting`], which somebody calls every
//! 15 minutes, or with the next alert of the kind. What a person must hear each time, safety notices and calls, is
//! sent each time, and grouped only when SNS did not take it.
//!
//! | what happens | what people get |
//! |---|---|
//! | two alerts at the same moment | one writes first and is sent, the other is counted |
//! | the process dies between counting and sending, or SNS refuses | the alert stays counted: told with the next one, or by the next call |
//! | the process dies after SNS took it, before that is noted | the alert is told twice |
//! | the ledger is out of reach | each alert is sent at once |
//!
//! An alert costs two writes (three, if its kind is known already), a counted one two; an event without one costs none.
//!
//! # Permissions
//!
//! `dynamodb:UpdateItem` on the table and `sns:Publish` on the topic; `dynamodb:Query` on the index `by-due` to tell what
//! waits.

use std::fmt::Write;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::AwsError;
use crate::ledger::{AlertGroup, Ledger};
use crate::outcomes::{Notice, Outcomes};

/// Categories of which every alert is sent at once.
const NEVER_GROUPED: [&str; 2] = ["safety", "realtime"];

/// The way to people. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alerts {
    ledger: Ledger,
    outcomes: Outcomes,
}

impl Alerts {
    /// Alerts that are counted in this ledger and published by this publisher.
    #[must_use]
    pub fn new(ledger: Ledger, outcomes: Outcomes) -> Self {
        Self { ledger, outcomes }
    }

    /// Tells people of something: now, or with others of its kind.
    ///
    /// After an error the alert is still counted, and told later.
    pub async fn tell(&self, notice: &Notice<'_>) -> Result<(), AwsError> {
        if NEVER_GROUPED.contains(&notice.category) {
            let sent = self.outcomes.alert(notice).await;
            // What SNS did not take waits like all others.
            if sent.is_err()
                && let Some(group) = self.ledger.count_alert(notice).await?
            {
                self.ledger.alerts_untold(&group).await?;
            }
            return sent;
        }
        match self.ledger.count_alert(notice).await {
            Ok(None) => Ok(()),
            Ok(Some(group)) => self.tell_group(&group, Some(notice)).await,
            Err(error) => {
                tracing::warn!("{error}; it is sent at once");
                self.outcomes.alert(notice).await
            }
        }
    }

    /// Tells people of the alerts whose window is over. Returns how many groups were told.
    ///
    /// A group that cannot be told keeps no other one from it. After an error it still waits.
    pub async fn tell_waiting(&self) -> Result<usize, AwsError> {
        let (mut told, mut failed) = (0, None);
        for waiting in self.ledger.waiting_alerts().await? {
            let tell = async {
                let Some(group) = self.ledger.take_alerts(&waiting).await? else { return Ok(0) };
                self.tell_group(&group, None).await.map(|()| 1)
            };
            match tell.await {
                Ok(number) => told += number,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(told), Err)
    }

    async fn tell_group(&self, group: &AlertGroup, latest: Option<&Notice<'_>>) -> Result<(), AwsError> {
        let sent = match latest {
            Some(notice) if group.count == 1 => self.outcomes.alert(notice).await,
            _ => {
                let (subject, message) = story(group, latest);
                let notice = Notice {
                    category: &group.category,
                    event_type: &group.event_type,
                    reason: &group.reason,
                    id: "",
                    severity: &group.severity,
                    subject: &subject,
                    message: &message,
                };
                self.outcomes.alert(&notice).await
            }
        };
        // A note that is not made does not fail anything: people are told twice.
        let noted = match &sent {
            Ok(()) => self.ledger.alerts_told(group).await,
            Err(_) => self.ledger.alerts_untold(group).await,
        };
        if let Err(error) = noted {
            tracing::warn!("{error}; people may be told again");
        }
        sent
    }
}

/// Subject and text of a group's message, the latest alert in full if it is at hand.
fn story(group: &AlertGroup, latest: Option<&Notice<'_>>) -> (String, String) {
    let AlertGroup { category, reason, count, ids, .. } = group;
    let alerts = if *count == 1 { "alert" } else { "alerts" };
    let moment = |seconds| DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_default();
    let others = usize::try_from(*count).unwrap_or_default().saturating_sub(ids.len());
    let others = if others == 0 { String::new() } else { format!(" and {others} more") };
    let mut message = format!(
        "{count} {alerts} of one kind came in a short time, and are told together.\n\n\
         What   {count} times {reason}, in the category {category}\n\
         When   from {} to {}\n\
         Which  {}{others}\n\
         To do  docs/operations.md says for each reason what helps.\n\
         Where  `openai-webhooks events list --category {category}`, `openai-webhooks dlq list --category {category}`\n",
        moment(group.first_at),
        moment(group.last_at),
        ids.join(", "),
    );
    if let Some(Notice { subject, message: latest, .. }) = latest {
        // Writing into a text cannot fail.
        let _ = write!(message, "\nThe latest: {subject}\n\n{latest}");
    }
    (format!("{count} {alerts} of {category}: {reason}"), message)
}
