//! One conditional write of an item, as expressions that `DynamoDB` understands, and one read.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::{Ledger, value};
use crate::AwsError;

/// An item of the table: its attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// Result of a conditional write.
pub(super) enum WriteResult {
    /// It was made. The new values of what it changed, or of the whole item if that was asked for.
    Yes(Item),
    /// The condition did not hold. The item that stood in the way.
    No(Item),
}

/// Changes to an item's attributes.
///
/// Every attribute goes by an alias, `#name` for `name`, because many of ours are reserved words (`state`, `source`,
/// `day`). A condition uses the aliases of attributes that are changed, and `:name` for their new values; others are
/// added by [`compare`](Self::compare) and [`value`](Self::value).
#[derive(Default)]
pub(super) struct Change {
    set: Vec<String>,
    remove: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    returns_all: bool,
}

impl Change {
    pub(super) fn set(self, name: &'static str, value: AttributeValue) -> Self {
        self.set_to(name, &format!(":{name}"), value)
    }

    /// Writes an attribute, or removes it when there is no value.
    pub(super) fn set_or_remove(self, name: &'static str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// Writes an attribute unless it has a value.
    pub(super) fn keep_or_set(self, name: &'static str, value: AttributeValue) -> Self {
        self.set_to(name, &format!("if_not_exists(#{name}, :{name})"), value)
    }

    /// Adds to the end of a list, which begins empty.
    pub(super) fn append(self, name: &'static str, entries: Vec<AttributeValue>) -> Self {
        let appended = format!("list_append(if_not_exists(#{name}, :empty), :{name})");
        self.set_to(name, &appended, AttributeValue::L(entries)).value("empty", AttributeValue::L(Vec::new()))
    }

    /// Adds to a number, which begins at zero.
    pub(super) fn add(self, name: &'static str, number: i64) -> Self {
        let sum = format!("if_not_exists(#{name}, :zero) + :{name}");
        self.set_to(name, &sum, value::number(number)).value("zero", value::number(0))
    }

    fn set_to(mut self, name: &'static str, expression: &str, value: AttributeValue) -> Self {
        self.set.push(format!("#{name} = {expression}"));
        self.compare(name).value(name, value)
    }

    /// Removes the first entries of a list.
    pub(super) fn remove_first(mut self, name: &'static str, count: usize) -> Self {
        // From the last one on: an implementation may renumber after each.
        self.remove.extend((0..count).rev().map(|index| format!("#{name}[{index}]")));
        self.compare(name)
    }

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

    pub(super) fn returns_all(self) -> Self {
        Self { returns_all: true, ..self }
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
    ) -> Result<WriteResult, AwsError> {
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
            .return_values(if change.returns_all { ReturnValue::AllNew } else { ReturnValue::UpdatedNew })
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(output) => Ok(WriteResult::Yes(output.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(WriteResult::No(refusal.item().cloned().unwrap_or_default()))
                }
                _ => Err(AwsError::of(action)(error)),
            },
        }
    }

    /// The item with these keys, as it is now. `action` follows "could not" in an error. Needs `dynamodb:GetItem`.
    pub async fn item(&self, action: &'static str, pk: &str, sk: &str) -> Result<Option<Item>, AwsError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        Ok(request.send().await.map_err(AwsError::of(action))?.item)
    }
}
