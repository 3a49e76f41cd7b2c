//! The item of something that people are told of once.

use super::Ledger;
use super::change::Change;
use super::value::number;
use crate::AwsError;

/// The sort key of its item.
const SK: &str = "told";

impl Ledger {
    /// Whether people were told of this. Needs `dynamodb:GetItem`.
    pub async fn was_told(&self, name: &str) -> Result<bool, AwsError> {
        Ok(self.item("read what people were told", &pk(name), SK).await?.is_some())
    }

    /// Remembers that people were told of this, for as long as everything is kept.
    pub async fn told(&self, name: &str) -> Result<(), AwsError> {
        let change = Change::default().set("expires_at", number(self.expires_at()));
        self.change("note what people were told", &pk(name), SK, change, "attribute_not_exists(pk)").await.map(drop)
    }
}

fn pk(name: &str) -> String {
    format!("told#{name}")
}
