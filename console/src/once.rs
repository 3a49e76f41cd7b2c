//! Something that is done once for a token, however often its form is sent.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use hooks_aws::clock::now_seconds;
use hooks_aws::ledger::Ledger;
use hooks_aws::ledger::value::{number, text};

use crate::http::tokens::hash;
use crate::{Failure, LEDGER_PERMISSIONS, Result};

/// Seconds for which a token is remembered.
const LIFETIME: i64 = 35 * 86_400;

/// Whether the caller is the first with this token. Needs `dynamodb:UpdateItem`.
pub(crate) async fn first(ledger: &Ledger, token: &str) -> Result<bool> {
    let request = ledger.client().update_item().table_name(ledger.table());
    let request = request.key("pk", text(format!("once#{}", hash(token)))).key("sk", text("once"));
    let request = request.update_expression("SET expires_at = :expires_at");
    let request = request.expression_attribute_values(":expires_at", number(now_seconds() + LIFETIME));
    match request.condition_expression("attribute_not_exists(pk)").send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(Failure::service(format!("could not note what is begun: {}", hooks_aws::cause(&error)))
                .hint(LEDGER_PERMISSIONS)),
        },
    }
}
