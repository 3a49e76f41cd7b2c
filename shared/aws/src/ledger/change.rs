//! One conditional write of an item, as expressions that `DynamoDB` understands, and one read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::{Ledger, LedgerError};

/// An item of the table: its attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// What a conditional write came to.
pub(super) enum WriteResult {
    /// It was made. These are the old values of what it changed, unless others were asked for.
    Yes(Item),
    /// The condition did not hold. This is the item that stood in the way.
    No(Item),
}

/// The changes to an item's attributes.
///
/// Every attribute goes by an alias, `#name` for `name`, because many of ours are reserved words (`state`, `source`,
/// `day`). A condition uses the aliases of attributes that are changed, and `:name` for their new values; others are
/// added by [`compare`](Self::compare) and [`given`](Self::value).
#[derive(Default)]
pub(super) struct Change {
    set: Vec<String>,
    remove: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Change {
    /// Writes an attribute.
    pub(super) fn set(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.set.push(format!("#{name} = :{name}"));
        self.compare(name).value(name, value)
    }

    /// Writes an attribute, or takes it away when there is no value.
    pub(super) fn set_or_remove(self, name: &'static str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// Writes an attribute unless it has a value.
    pub(super) fn keep_or_set(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.set.push(format!("#{name} = if_not_exists(#{name}, :{name})"));
        self.compare(name).value(name, value)
    }

    /// Adds to the end of a list, which begins empty.
    pub(super) fn append(mut self, name: &'static str, entries: Vec<AttributeValue>) -> Self {
        self.set.push(format!("#{name} = list_append(if_not_exists(#{name}, :empty), :{name})"));
        self.compare(name).value("empty", AttributeValue::L(Vec::new())).value(name, AttributeValue::L(entries))
    }

    /// Takes the first entries of a list away.
    pub(super) fn remove_first(mut self, name: &'static str, count: usize) -> Self {
        // From the last one on: an implementation may renumber after each.
        self.remove.extend((0..count).rev().map(|index| format!("#{name}[{index}]")));
        self.compare(name)
    }

    /// Takes an attribute away.
    pub(super) fn remove(mut self, name: &'static str) -> Self {
        self.remove.push(format!("#{name}"));
        self.compare(name)
    }

    /// Lets the condition speak of an attribute.
    pub(super) fn compare(mut self, name: &'static str) -> Self {
        self.names.insert(format!("#{name}"), name.to_owned());
        self
    }

    /// Lets the condition speak of a value.
    pub(super) fn value(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    fn expression(&self) -> String {
        let clause = |word, parts: &[String]| (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")));
        let clauses = [clause("SET", &self.set), clause("REMOVE", &self.remove)];
        clauses.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl Ledger {
    /// Makes the change if the condition holds, in one write. `action` follows "could not" in an error.
    pub(super) async fn change(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        change: Change,
        condition: &str,
    ) -> Result<WriteResult, LedgerError> {
        self.change_returning(action, pk, sk, change, condition, ReturnValue::UpdatedOld).await
    }

    /// [`change`](Self::change), for those who want other values than the old ones of what was changed.
    pub(super) async fn change_returning(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        change: Change,
        condition: &str,
        values: ReturnValue,
    ) -> Result<WriteResult, LedgerError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()))
            .update_expression(change.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values((!change.values.is_empty()).then_some(change.values))
            .return_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(output) => Ok(WriteResult::Yes(output.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_conditional_check_failed_exception() => {
                    Ok(WriteResult::No(in_the_way(refusal)))
                }
                _ => Err(LedgerError::new(action, &error)),
            },
        }
    }

    /// The item with these keys, as it is now. `action` follows "could not" in an error. Needs `dynamodb:GetItem`.
    pub async fn item(&self, action: &'static str, pk: &str, sk: &str) -> Result<Option<Item>, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        Ok(request.send().await.map_err(|error| LedgerError::new(action, &error))?.item)
    }
}

fn in_the_way(refusal: &aws_sdk_dynamodb::operation::update_item::UpdateItemError) -> Item {
    use aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException;
    match refusal {
        ConditionalCheckFailedException(refusal) => refusal.item().cloned().unwrap_or_default(),
        _ => Item::default(),
    }
}
