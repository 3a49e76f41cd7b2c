//! The item of a lease: who does something that only one may do at a time, and until when.

use super::change::{Change, WriteResult};
use super::value::{number, read_text, text};
use super::{Ledger, now, random_token};
use crate::AwsError;

const SK: &str = "lease";

/// A lease that was taken.
#[derive(Clone, Debug)]
pub struct Lease {
    pk: String,
    token: String,
}

impl Ledger {
    /// Takes the lease of this name until `until` (milliseconds since the Unix epoch). `None`: somebody has it, and it
    /// is not over.
    pub async fn lease(&self, name: &str, until: i64) -> Result<Option<Lease>, AwsError> {
        let lease = Lease { pk: format!("lease#{name}"), token: random_token() };
        let change = Change::default()
            .set("holder", text(&lease.token))
            .set("lease_until", number(until))
            .set("expires_at", number(self.expires_at()))
            .value("now", number(now()));
        let condition = "attribute_not_exists(pk) OR #lease_until < :now";
        Ok(match self.change("take the lease", &lease.pk, SK, change, condition).await? {
            WriteResult::Yes(_) => Some(lease),
            // The SDK tried twice: the first try was made, but its answer got lost.
            WriteResult::No(item) => (read_text(&item, "holder") == Some(&lease.token)).then_some(lease),
        })
    }

    /// Takes the lease of a signing secret: whoever has OpenAI make a new one and stores it holds it, so that secrets are
    /// stored in the order in which OpenAI made them. `secret` is the ARN.
    pub async fn rotation_lease(&self, secret: &str, until: i64) -> Result<Option<Lease>, AwsError> {
        self.lease(&format!("rotate/{secret}"), until).await
    }

    /// Gives a lease back, so that whoever comes next has it at once. One that somebody else has by now stays theirs.
    pub async fn end_lease(&self, lease: &Lease) -> Result<(), AwsError> {
        let change =
            Change::default().set("lease_until", number(0)).compare("holder").value("holder", text(&lease.token));
        self.change("give the lease back", &lease.pk, SK, change, "#holder = :holder").await.map(|_| ())
    }
}
