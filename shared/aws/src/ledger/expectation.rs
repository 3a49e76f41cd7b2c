//! What somebody recorded of an object before its event came.

use super::value::{read_text, text};
use super::{Ledger, LedgerError};

/// The sort key of an expectation's item.
const SK: &str = "expected";

impl Ledger {
    /// The text `attribute` of what is expected of an object; `None` when nobody recorded it, or as something else than
    /// a text.
    ///
    /// Such items are written by whoever created the object and knows what its event will not say. Nothing here writes
    /// or expires them.
    pub async fn expected(
        &self,
        category: &str,
        object_id: &str,
        attribute: &str,
    ) -> Result<Option<String>, LedgerError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(format!("expected#{category}#{object_id}")))
            .key("sk", text(SK))
            .projection_expression("#attribute")
            .expression_attribute_names("#attribute", attribute)
            .consistent_read(true);
        let found = request.send().await.map_err(|error| LedgerError::new("read what is expected", &error))?;
        Ok(found.item.as_ref().and_then(|item| read_text(item, attribute)).map(str::to_owned))
    }
}
