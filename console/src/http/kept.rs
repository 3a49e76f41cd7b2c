//! What the deployed console keeps in the ledger: the key, links, sessions, and counts of tries.
//!
//! | item | `pk` | `sk` | says |
//! |---|---|---|---|
//! | key | `console#key` | `key` | what signs the tokens of sessions and of forms |
//! | link | `console#link#{hash}` | `link` | who may come in by it, until when, and whether somebody did |
//! | session | `console#session#{hash}` | `session` | who it is, with which role, until when, and whether it was ended |
//! | tries | `console#tries#{what}#{hash of the address}` | the window | how often an address tried |
//!
//! Tokens are kept as their hashes, so whoever reads the ledger gets into no session. All but the key expire.
//!
//! Needs `dynamodb:GetItem` and `dynamodb:UpdateItem` on items of `console#`.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValue;
use hooks_aws::clock::{now_ms, now_seconds};
use hooks_aws::ledger::value::{number, read_number, read_text, text};
use hooks_aws::ledger::{Item, Ledger};

use super::session::Role;
use super::tokens::{hash, random};
use crate::{Failure, LEDGER_PERMISSIONS, Result};

/// Milliseconds for which a link is good.
pub(crate) const LINK_LIFE: i64 = 60_000;

/// Milliseconds for which a session is good.
pub(crate) const SESSION_LIFE: i64 = 12 * 3_600_000;

/// Seconds that an item is kept after it is of no use any more.
const KEPT_AFTER: i64 = 86_400;

/// Somebody and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) role: Role,
}

impl Person {
    fn of(item: &Item) -> Option<Self> {
        Some(Self { name: read_text(item, "name")?.to_owned(), role: Role::of(read_text(item, "role")?)? })
    }
}

/// The items of the console. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kept(Ledger);

impl Kept {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// The key that signs, which is made by whoever asks first.
    pub(crate) async fn key(&self) -> Result<String> {
        let request = self.update("console#key", "key").update_expression("SET #key = if_not_exists(#key, :new)");
        let request =
            request.expression_attribute_names("#key", "key").expression_attribute_values(":new", text(random()?));
        let answer = request.return_values(ReturnValue::AllNew).send().await.map_err(|error| failure(&error))?;
        let key = answer.attributes().and_then(|item| read_text(item, "key")).map(str::to_owned);
        key.ok_or_else(|| Failure::service("the ledger has no key for the console"))
    }

    /// Keeps a link, by its token.
    pub(crate) async fn keep_link(&self, token: &str, person: &Person) -> Result<()> {
        self.keep(&format!("console#link#{}", hash(token)), "link", person, LINK_LIFE).await
    }

    /// Uses a link: who may come in by it, if nobody did and it is not over.
    pub(crate) async fn use_link(&self, token: &str) -> Result<Option<Person>> {
        let request =
            self.update(&format!("console#link#{}", hash(token)), "link").update_expression("SET used = :now");
        let request =
            request.condition_expression("attribute_exists(pk) AND attribute_not_exists(used) AND valid_until > :now");
        let request = request.expression_attribute_values(":now", number(now_ms()));
        match request.return_values(ReturnValue::AllNew).send().await {
            Ok(answer) => Ok(answer.attributes().and_then(Person::of)),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Keeps a session, by the hash of its token.
    pub(crate) async fn keep_session(&self, hashed: &str, person: &Person) -> Result<()> {
        self.keep(&format!("console#session#{hashed}"), "session", person, SESSION_LIFE).await
    }

    /// Whose session this is, unless it is over or was ended.
    pub(crate) async fn session(&self, hashed: &str) -> Result<Option<Person>> {
        let found = self.0.item("read the session", &format!("console#session#{hashed}"), "session").await;
        let found = found.map_err(|error| Failure::service(error.to_string()).hint(LEDGER_PERMISSIONS))?;
        let live = |item: &Item| {
            !item.contains_key("ended") && read_number(item, "valid_until").is_some_and(|at| at > now_ms())
        };
        Ok(found.filter(live).as_ref().and_then(Person::of))
    }

    /// Ends a session.
    pub(crate) async fn end_session(&self, hashed: &str) -> Result<()> {
        let request =
            self.update(&format!("console#session#{hashed}"), "session").update_expression("SET ended = :now");
        let request = request.condition_expression("attribute_exists(pk)");
        match request.expression_attribute_values(":now", number(now_ms())).send().await {
            Err(error) if !is_refused(&error) => Err(failure(&error)),
            _ => Ok(()),
        }
    }

    /// Counts a try of an address in this window of `seconds`. `false` if it had `most` already.
    pub(crate) async fn count(&self, what: &str, source: &str, most: i64, seconds: i64) -> Result<bool> {
        let window = now_seconds().div_euclid(seconds);
        let request = self.update(&format!("console#tries#{what}#{}", hash(source)), &window.to_string());
        let request = request.update_expression("SET expires_at = :expires_at ADD tries :one");
        let request = request.condition_expression("attribute_not_exists(tries) OR tries < :most");
        let request = request.expression_attribute_values(":expires_at", number((window + 1) * seconds + KEPT_AFTER));
        let request = request.expression_attribute_values(":one", number(1));
        match request.expression_attribute_values(":most", number(most)).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn keep(&self, pk: &str, sk: &str, person: &Person, life: i64) -> Result<()> {
        let until = now_ms() + life;
        let request = self.update(pk, sk);
        let request = request
            .update_expression("SET #name = :name, #role = :role, valid_until = :until, expires_at = :expires_at");
        let request = request.expression_attribute_names("#name", "name").expression_attribute_names("#role", "role");
        let request = request.expression_attribute_values(":name", text(&person.name));
        let request = request.expression_attribute_values(":role", text(person.role.word()));
        let request = request.expression_attribute_values(":until", number(until));
        let request = request.expression_attribute_values(":expires_at", number(until / 1000 + KEPT_AFTER));
        request.send().await.map(drop).map_err(|error| failure(&error))
    }

    fn update(&self, pk: &str, sk: &str) -> UpdateItemFluentBuilder {
        let request = self.0.client().update_item().table_name(self.0.table());
        request.key("pk", text(pk)).key("sk", text(sk))
    }
}

fn is_refused(error: &SdkError<UpdateItemError>) -> bool {
    matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_)))
}

fn failure(error: &SdkError<UpdateItemError>) -> Failure {
    Failure::service(format!("could not write to the ledger: {}", hooks_aws::cause(error))).hint(LEDGER_PERMISSIONS)
}
