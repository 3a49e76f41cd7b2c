//! Sign-in of the deployed console: links and sessions as items of the ledger.
//!
//! | item | `pk` | `sk` | says |
//! |---|---|---|---|
//! | link | `signin#{role}#{hash}` | `signin` | that somebody whom IAM lets write it may come in, once, within a minute |
//! | session | `session#{hash}` | `session` | who came in, as what, and until when |
//! | key | `console#key` | `key` | what the cookies are signed with |
//!
//! So two IAM permissions make the two roles: `dynamodb:UpdateItem` on the table where `dynamodb:LeadingKeys` is
//! `signin#operator#*`, or `signin#viewer#*`. A cookie is `{session}.{signature}`: one that is made up is refused without
//! a read of the table. Deleting the session's item ends it.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hooks_aws::clock::now_seconds;
use hooks_aws::ledger::value::{number, read_number, read_text, text};
use hooks_aws::ledger::{Item, Ledger};
use sha2::Sha256;
use tokio::sync::OnceCell;

use super::session::{Caller, Opened, Role};
use super::tokens::{hash, random, same};
use crate::{Failure, LEDGER_PERMISSIONS, Result};

/// Seconds for which a link can be used.
pub const LINK_SECONDS: i64 = 60;

/// Seconds for which a session lasts.
const SESSION_SECONDS: i64 = 12 * 3_600;

/// Length of a token.
const TOKEN: usize = 64;

/// Links and sessions in a ledger.
pub(crate) struct SignIns {
    ledger: Ledger,
    key: OnceCell<String>,
}

/// Writes a link into the ledger, and returns its token. Needs `dynamodb:UpdateItem` for keys that begin with
/// `signin#operator#` or `signin#viewer#`.
pub async fn mint(ledger: &Ledger, role: Role, name: &str) -> Result<String> {
    let token = random()?;
    let until = now_seconds() + LINK_SECONDS;
    let values = [("who", text(name)), ("until", number(until)), ("expires_at", number(until + 3_600))];
    write(ledger, &link_key(role, &token), "signin", &values, "attribute_not_exists(pk)", "write the link").await?;
    Ok(token)
}

impl SignIns {
    pub(crate) const fn new(ledger: Ledger) -> Self {
        Self { ledger, key: OnceCell::const_new() }
    }

    /// Uses a link: the first to do so has it.
    pub(crate) async fn open(&self, link: &str) -> Result<Option<Opened>> {
        if !is_token(link) {
            return Ok(None);
        }
        for role in [Role::Operator, Role::Viewer] {
            let pk = link_key(role, link);
            let used = [("used_at", number(now_seconds())), (":until", number(now_seconds()))];
            let condition = "attribute_exists(pk) AND attribute_not_exists(used_at) AND #until > :until";
            let Some(item) = self.write(&pk, "signin", &used, condition, "use the link").await? else { continue };
            let name = read_text(&item, "who").unwrap_or("somebody").to_owned();
            return self.begin(name, role).await.map(Some);
        }
        Ok(None)
    }

    async fn begin(&self, name: String, role: Role) -> Result<Opened> {
        let (token, csrf) = (random()?, random()?);
        let until = now_seconds() + SESSION_SECONDS;
        let values = [
            ("who", text(&name)),
            ("role", text(role.word())),
            ("csrf", text(&csrf)),
            ("until", number(until)),
            ("expires_at", number(until)),
        ];
        let pk = format!("session#{}", hash(&token));
        self.write(&pk, "session", &values, "attribute_not_exists(pk)", "begin the session").await?;
        let token = format!("{token}.{}", self.signature(&token).await?);
        Ok(Opened { token, caller: Caller { name, role, csrf } })
    }

    pub(crate) async fn find(&self, cookie: &str) -> Result<Option<Caller>> {
        let Some(pk) = self.session_key(cookie).await? else { return Ok(None) };
        let Some(item) = self.ledger.item("read the session", &pk, "session").await? else { return Ok(None) };
        if read_number(&item, "until").unwrap_or_default() <= now_seconds() {
            return Ok(None);
        }
        let said = |name| read_text(&item, name).unwrap_or_default().to_owned();
        let role = if said("role") == Role::Operator.word() { Role::Operator } else { Role::Viewer };
        Ok(Some(Caller { name: said("who"), role, csrf: said("csrf") }))
    }

    pub(crate) async fn end(&self, cookie: &str) -> Result<()> {
        if let Some(pk) = self.session_key(cookie).await? {
            let values = [("until", number(0))];
            self.write(&pk, "session", &values, "attribute_exists(pk)", "end the session").await?;
        }
        Ok(())
    }

    /// The key of the session's item, if the cookie's signature is ours.
    async fn session_key(&self, cookie: &str) -> Result<Option<String>> {
        let Some((token, signature)) = cookie.split_once('.').filter(|(token, _)| is_token(token)) else {
            return Ok(None);
        };
        let is_ours = same(signature, &self.signature(token).await?);
        Ok(is_ours.then(|| format!("session#{}", hash(token))))
    }

    async fn signature(&self, token: &str) -> Result<String> {
        let key = self.key.get_or_try_init(|| self.read_key()).await?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
            .map_err(|_| Failure::service("the key of the sessions is unusable"))?;
        mac.update(token.as_bytes());
        Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The key, made by whoever needs it first.
    async fn read_key(&self) -> Result<String> {
        let known = |item: Option<Item>| item.and_then(|item| read_text(&item, "key").map(str::to_owned));
        let read = || self.ledger.item("read the key of the sessions", "console#key", "key");
        if let Some(key) = known(read().await?) {
            return Ok(key);
        }
        let values = [("key", text(random()?))];
        self.write("console#key", "key", &values, "attribute_not_exists(pk)", "make the key of the sessions").await?;
        known(read().await?).ok_or_else(|| Failure::service("the key of the sessions could not be made"))
    }

    async fn write(
        &self,
        pk: &str,
        sk: &str,
        values: &[(&str, AttributeValue)],
        condition: &str,
        action: &str,
    ) -> Result<Option<Item>> {
        write(&self.ledger, pk, sk, values, condition, action).await
    }
}

fn link_key(role: Role, token: &str) -> String {
    let role = if role == Role::Operator { "operator" } else { "viewer" };
    format!("signin#{role}#{}", hash(token))
}

fn is_token(text: &str) -> bool {
    text.len() == TOKEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Sets attributes if the condition holds, and returns the item; `None` if it does not. Names with a colon are values of
/// the condition alone.
async fn write(
    ledger: &Ledger,
    pk: &str,
    sk: &str,
    values: &[(&str, AttributeValue)],
    condition: &str,
    action: &str,
) -> Result<Option<Item>> {
    let mut request = ledger.client().update_item().table_name(ledger.table()).key("pk", text(pk)).key("sk", text(sk));
    let mut set = Vec::new();
    for (name, value) in values {
        if let Some(name) = name.strip_prefix(':') {
            request = request.expression_attribute_names(format!("#{name}"), name);
            request = request.expression_attribute_values(format!(":{name}"), value.clone());
        } else {
            set.push(format!("#{name} = :{name}"));
            request = request.expression_attribute_names(format!("#{name}"), *name);
            request = request.expression_attribute_values(format!(":{name}"), value.clone());
        }
    }
    let request = request.update_expression(format!("SET {}", set.join(", "))).condition_expression(condition);
    match request.return_values(ReturnValue::AllNew).send().await {
        Ok(output) => Ok(Some(output.attributes.unwrap_or_default())),
        Err(error) => {
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(Failure::service(format!("could not {action}: {}", hooks_aws::cause(&error)))
                    .hint(LEDGER_PERMISSIONS)),
            }
        }
    }
}
