//! `DynamoDB`, as far as the ledger needs it: `UpdateItem` with its expressions, `GetItem`, and `Query` of a range.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// An item in `DynamoDB`'s JSON.
pub(crate) type Item = Map<String, Value>;

/// The table: items by `pk` and `sk`.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<(String, String), Item>);

/// What became of an update.
pub(crate) enum Update {
    /// The item before and after.
    Written { before: Option<Item>, after: Item },
    /// The condition does not hold for this item.
    Refused(Option<Item>),
}

impl Table {
    /// The item with this `pk`; of an event its history, and not the body that is kept for a day under an `sk` before it.
    pub(crate) fn get(&self, pk: &str) -> Option<&Item> {
        let items = self.0.range((pk.to_owned(), String::new())..).take_while(|((of, _), _)| of == pk);
        items.last().map(|(_, item)| item)
    }

    /// Carries out a `GetItem`.
    pub(crate) fn item(&self, request: &Value) -> Option<&Item> {
        self.0.get(&place(request).ok()?)
    }

    /// Carries out a `Query` of one partition between two sort keys, as the ledger asks it.
    ///
    /// # Errors
    ///
    /// The request has another condition.
    pub(crate) fn query(&self, request: &Value) -> Result<Vec<&Item>, String> {
        if request["KeyConditionExpression"] != "pk = :pk AND sk BETWEEN :from AND :to" {
            return Err(format!("{} is not a condition that is known here", request["KeyConditionExpression"]));
        }
        let value = |name: &str| request["ExpressionAttributeValues"][name]["S"].as_str().map(str::to_owned);
        let [pk, from, to] = [":pk", ":from", ":to"].map(value).map(|value| value.ok_or("a value is missing"));
        let pk = pk?;
        let limit = request["Limit"].as_u64().map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let range = self.0.range((pk.clone(), from?)..=(pk, to?));
        Ok(range.map(|(_, item)| item).take(limit).collect())
    }

    /// Carries out an `UpdateItem`.
    ///
    /// # Errors
    ///
    /// What `DynamoDB` calls a `ValidationException`.
    pub(crate) fn update(&mut self, request: &Value) -> Result<Update, String> {
        let key = request["Key"].as_object().ok_or("no key")?;
        let place = place(request)?;
        let before = self.0.get(&place).cloned();
        let empty = Item::new();
        let mut words = Expression::of(request, "ConditionExpression", before.as_ref().unwrap_or(&empty));
        let holds = words.or()?;
        words.end()?;
        let mut used = words.used;
        let mut words = Expression::of(request, "UpdateExpression", before.as_ref().unwrap_or(&empty));
        let after = words.update(before.clone().unwrap_or_else(|| key.clone()))?;
        used.append(&mut words.used);
        for kind in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            if let Some(unused) =
                request[kind].as_object().and_then(|all| all.keys().find(|name| !used.contains(*name)))
            {
                return Err(format!("{unused} is unused"));
            }
        }
        if !holds {
            return Ok(Update::Refused(before));
        }
        self.0.insert(place, after.clone());
        Ok(Update::Written { before, after })
    }
}

/// Where the item of a request is.
fn place(request: &Value) -> Result<(String, String), &'static str> {
    let [pk, sk] = ["pk", "sk"].map(|name| request["Key"][name]["S"].as_str().map(str::to_owned));
    Ok((pk.ok_or("no pk")?, sk.ok_or("no sk")?))
}

/// The text of an attribute.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?["S"].as_str()
}

/// The number of an attribute.
pub(crate) fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?["N"].as_str()?.parse().ok()
}

/// An expression that is being read, and the item that it is about.
struct Expression<'a> {
    words: Vec<String>,
    at: usize,
    request: &'a Value,
    item: &'a Item,
    used: BTreeSet<String>,
}

impl<'a> Expression<'a> {
    fn of(request: &'a Value, expression: &str, item: &'a Item) -> Self {
        let mut text = request[expression].as_str().unwrap_or_default().to_owned();
        for sign in ["(", ")", ","] {
            text = text.replace(sign, &format!(" {sign} "));
        }
        let words = text.split_whitespace().map(str::to_owned).collect();
        Self { words, at: 0, request, item, used: BTreeSet::new() }
    }

    fn next(&mut self) -> Result<String, String> {
        let word = self.words.get(self.at).cloned().ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(word)
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) { Ok(()) } else { Err(format!("{word} is missing in {:?}", self.words)) }
    }

    fn end(&self) -> Result<(), String> {
        if self.at == self.words.len() { Ok(()) } else { Err(format!("{} is too much", self.words[self.at])) }
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut holds = self.and()?;
        while self.takes("OR") {
            holds |= self.and()?;
        }
        Ok(holds)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut holds = self.comparison()?;
        while self.takes("AND") {
            holds &= self.comparison()?;
        }
        Ok(holds)
    }

    fn comparison(&mut self) -> Result<bool, String> {
        if self.takes("(") {
            let holds = self.or()?;
            self.expect(")")?;
            return Ok(holds);
        }
        for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.takes(function) {
                self.expect("(")?;
                let name = self.name()?;
                self.expect(")")?;
                return Ok(self.item.contains_key(&name) == wanted);
            }
        }
        let left = self.operand()?;
        let sign = self.next()?;
        if sign == "IN" {
            self.expect("(")?;
            let mut holds = false;
            loop {
                let right = self.operand()?;
                holds |= left.is_some() && left == right;
                if !self.takes(",") {
                    break;
                }
            }
            self.expect(")")?;
            return Ok(holds);
        }
        let right = self.operand()?;
        let order = || match (left.as_ref()?, right.as_ref()?) {
            (left, right) if left.get("N").is_some() => {
                let number = |value: &Value| value["N"].as_str()?.parse::<i64>().ok();
                Some(number(left)?.cmp(&number(right)?))
            }
            (left, right) => Some(left["S"].as_str()?.cmp(right["S"].as_str()?)),
        };
        Ok(match sign.as_str() {
            "=" => left.is_some() && left == right,
            "<>" => left != right,
            "<" => order().is_some_and(std::cmp::Ordering::is_lt),
            "<=" => order().is_some_and(std::cmp::Ordering::is_le),
            ">" => order().is_some_and(std::cmp::Ordering::is_gt),
            other => return Err(format!("{other} is not a comparison that is known here")),
        })
    }

    /// An attribute's name, which may be behind an alias.
    fn name(&mut self) -> Result<String, String> {
        let word = self.next()?;
        if !word.starts_with('#') {
            return Ok(word);
        }
        let name = self.request["ExpressionAttributeNames"][&word].as_str().ok_or(format!("{word} is not defined"))?;
        self.used.insert(word);
        Ok(name.to_owned())
    }

    fn operand(&mut self) -> Result<Option<Value>, String> {
        let first = self.term()?;
        if !self.takes("+") {
            return Ok(first);
        }
        let number = |value: Option<Value>| value.and_then(|value| value["N"].as_str()?.parse::<i64>().ok());
        let sum = number(first).zip(number(self.term()?)).map(|(first, second)| first + second);
        Ok(Some(json!({"N": sum.ok_or("a sum of what is not a number")?.to_string()})))
    }

    fn term(&mut self) -> Result<Option<Value>, String> {
        if self.takes("size") {
            self.expect("(")?;
            let name = self.name()?;
            self.expect(")")?;
            let list = self.item.get(&name).and_then(|value| value["L"].as_array());
            return Ok(list.map(|list| json!({"N": list.len().to_string()})));
        }
        for function in ["if_not_exists", "list_append"] {
            if !self.takes(function) {
                continue;
            }
            self.expect("(")?;
            let first = self.operand()?;
            self.expect(",")?;
            let second = self.operand()?;
            self.expect(")")?;
            return Ok(if function == "if_not_exists" { first.or(second) } else { Some(appended(first, second)?) });
        }
        if self.words.get(self.at).is_some_and(|word| word.starts_with(':')) {
            let word = self.next()?;
            let value = self.request["ExpressionAttributeValues"].get(&word).cloned();
            let value = value.ok_or(format!("{word} is not defined"))?;
            self.used.insert(word);
            return Ok(Some(value));
        }
        let name = self.name()?;
        Ok(self.item.get(&name).cloned())
    }

    /// The item after an update. Every part of it sees the item as it was before.
    fn update(&mut self, mut after: Item) -> Result<Item, String> {
        let mut is_set = true;
        while self.at < self.words.len() {
            if self.takes("SET") {
                is_set = true;
            } else if self.takes("REMOVE") {
                is_set = false;
            }
            if is_set {
                let name = self.name()?;
                self.expect("=")?;
                let value = self.operand()?.ok_or(format!("there is no value for {name}"))?;
                after.insert(name, value);
            } else {
                self.remove(&mut after)?;
            }
            let _ = self.takes(",");
        }
        Ok(after)
    }

    fn remove(&mut self, after: &mut Item) -> Result<(), String> {
        let word = self.words[self.at].clone();
        let Some((alias, index)) = word.split_once('[') else {
            let name = self.name()?;
            after.remove(&name);
            return Ok(());
        };
        alias.clone_into(&mut self.words[self.at]);
        let name = self.name()?;
        let index: usize = index.trim_end_matches(']').parse().map_err(|_| "not an index")?;
        // Indexes come from the last one on, so none moves another.
        if let Some(list) = after.get_mut(&name).and_then(|list| list["L"].as_array_mut()).filter(|l| index < l.len()) {
            list.remove(index);
        }
        Ok(())
    }
}

fn appended(first: Option<Value>, second: Option<Value>) -> Result<Value, String> {
    let list = |value: Option<Value>| match value.map(|mut value| value["L"].take()) {
        Some(Value::Array(list)) => Ok(list),
        _ => Err("list_append of what is not a list"),
    };
    let mut all = list(first)?;
    all.append(&mut list(second)?);
    Ok(json!({ "L": all }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(table: &mut Table, update: &str, condition: &str) -> Result<Option<Item>, String> {
        let given: Value = json!({
            ":one": {"N": "1"}, ":ten": {"N": "10"}, ":word": {"S": "word"}, ":empty": {"L": []}, ":list": {"L": [{"N": "1"}]},
        });
        let used = |name: &&str| format!("{update} {condition}").contains(*name);
        let values: Map<_, _> =
            given.as_object().unwrap().clone().into_iter().filter(|(n, _)| used(&n.as_str())).collect();
        let names: Map<_, _> =
            ["#a", "#b", "#l"].into_iter().filter(used).map(|name| (name.to_owned(), name[1..].into())).collect();
        let request = json!({
            "Key": {"pk": {"S": "x"}, "sk": {"S": "y"}}, "UpdateExpression": update, "ConditionExpression": condition,
            "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
        });
        match table.update(&request)? {
            Update::Written { after, .. } => Ok(Some(after)),
            Update::Refused(_) => Ok(None),
        }
    }

    #[test]
    fn a_condition_means_what_it_means_on_dynamodb() {
        let mut table = Table::default();
        assert!(updated(&mut table, "SET #a = :one", "attribute_not_exists(pk)").unwrap().is_some());
        for (condition, holds) in [
            ("attribute_not_exists(pk)", false),
            ("attribute_exists(#a) AND #a = :one", true),
            ("#a < :ten AND #a <= :one", true),
            ("#a > :ten", false),
            ("#a IN (:ten, :one)", true),
            ("#a IN (:ten, :word)", false),
            ("#b = :one", false),
            ("#b <> :one", true),
            ("#b < :one OR (#a = :one AND #a <> :ten)", true),
        ] {
            let written = updated(&mut table, "SET #l = :word", condition).unwrap();
            assert_eq!(written.is_some(), holds, "{condition}");
        }
    }

    #[test]
    fn an_update_sees_the_item_as_it_was() {
        let mut table = Table::default();
        let update = "SET #a = if_not_exists(#a, :one), #b = if_not_exists(#b, :one) + :ten, #l = list_append(if_not_exists(#l, :empty), :list)";
        for length in 1..=3 {
            let item = updated(&mut table, update, "attribute_not_exists(#l) OR size(#l) < :ten").unwrap().unwrap();
            assert_eq!(item["l"]["L"].as_array().unwrap().len(), length);
        }
        let item = updated(&mut table, "SET #b = #a REMOVE #a, #l[1], #l[0]", "attribute_exists(pk)").unwrap().unwrap();
        assert_eq!(
            (item["b"].clone(), item.get("a"), item["l"]["L"].as_array().unwrap().len()),
            (json!({"N": "1"}), None, 1)
        );
    }

    #[test]
    fn an_expression_that_dynamodb_refuses_is_refused() {
        let mut table = Table::default();
        for (update, condition) in
            [("SET #c = :one", "#a = :one"), ("SET #a = :one", "#a = :one AND"), ("SET #a = #b", "#a = :one")]
        {
            assert!(updated(&mut table, update, condition).is_err(), "{update} {condition}");
        }
        let unused = json!({
            "Key": {"pk": {"S": "x"}, "sk": {"S": "y"}}, "UpdateExpression": "SET a = :one", "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {":one": {"N": "1"}, ":two": {"N": "2"}},
        });
        assert_eq!(table.update(&unused).err().as_deref(), Some(":two is unused"));
    }
}
