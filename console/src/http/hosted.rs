//! The way in behind the HTTP API: one-time links for those whom IAM lets get one, and the team's identity provider.
//!
//! A session's token is `{id}.{signature}`. The signature refuses what was made up without a read of the ledger; the item
//! of the session says that it is not over and was not ended.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Uri;
use hooks_aws::Config;
use hooks_aws::clock::now_seconds;
use hooks_aws::ledger::Ledger;
use tokio::time::Instant;

use super::kept::{Kept, Person};
use super::oidc::Provider;
use super::session::{Caller, Effort, Opened};
use super::tokens::{Signer, hash, random, same};
use crate::view::layout::BASE;
use crate::{Failure, Result};

/// Time for which the key is used before it is read again: after this, a key that was taken away signs nothing.
const KEY_FRESH: Duration = Duration::from_secs(30);

/// Most addresses that are remembered as refused.
const MAX_REFUSED: usize = 1000;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 256;

/// Longest name of a person, in characters.
const MAX_NAME: usize = 256;

/// The way in of the deployed console.
pub(crate) struct Hosted {
    /// Host, and port if it has one, of the console's address.
    pub(crate) authority: String,
    /// The console's address, without a slash at the end.
    url: String,
    kept: Kept,
    pub(crate) provider: Option<Arc<Provider>>,
    key: tokio::sync::Mutex<Option<(Instant, Arc<Signer>)>>,
    /// Tries that were refused, so that a flood of them costs no writes.
    refused: Mutex<HashSet<(&'static str, String, i64)>>,
}

impl Hosted {
    /// The way in at the address `url`, with what is kept in this table.
    pub(crate) fn new(aws: &Config, url: &str, table: &str, provider: Option<Arc<Provider>>) -> Result<Self> {
        let authority = url.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
        let authority = authority.ok_or_else(|| Failure::usage("the console's address is not a URL"))?;
        Ok(Self {
            authority,
            url: url.to_owned(),
            kept: Kept::new(Ledger::new(aws, table)),
            provider,
            key: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// A link by which somebody comes in once, within a minute.
    pub(crate) async fn link(&self, person: &Person) -> Result<String> {
        let token = random()?;
        let person = Person { name: name_of(&person.name), role: person.role };
        self.kept.keep_link(&token, &person).await?;
        Ok(format!("{}/enter?link={token}", self.url))
    }

    /// Uses a link. `None` if it is unknown, used or over.
    pub(crate) async fn open(&self, link: &str) -> Result<Option<Opened>> {
        if link.len() > MAX_TOKEN {
            return Ok(None);
        }
        match self.kept.use_link(link).await? {
            Some(person) => self.begin(&person).await.map(Some),
            None => Ok(None),
        }
    }

    /// Begins a session.
    pub(crate) async fn begin(&self, person: &Person) -> Result<Opened> {
        let (id, signer) = (random()?, self.signer().await?);
        let person = Person { name: name_of(&person.name), role: person.role };
        self.kept.keep_session(&hash(&id), &person).await?;
        let token = format!("{id}.{}", signer.sign("session", &id));
        Ok(Opened { token, caller: caller(person, &signer, &id) })
    }

    /// Whose session this is.
    pub(crate) async fn find(&self, token: &str) -> Result<Option<Caller>> {
        let signer = self.signer().await?;
        let Some(id) = id_of(token, &signer) else { return Ok(None) };
        let person = self.kept.session(&hash(id)).await?;
        Ok(person.map(|person| caller(person, &signer, id)))
    }

    /// Ends a session.
    pub(crate) async fn end(&self, token: &str) -> Result<()> {
        let signer = self.signer().await?;
        match id_of(token, &signer) {
            Some(id) => self.kept.end_session(&hash(id)).await,
            None => Ok(()),
        }
    }

    /// Whether an address has not yet tried too often.
    pub(crate) async fn admits(&self, effort: Effort, source: &str) -> Result<bool> {
        let (what, most, seconds) = match effort {
            Effort::SignIn => ("sign-in", 30, 300),
            Effort::Write => ("write", 240, 60),
        };
        let source = network(source);
        let window = now_seconds().div_euclid(seconds);
        let key = (what, source.clone(), window);
        if self.refused().contains(&key) {
            return Ok(false);
        }
        let admitted = self.kept.count(what, &source, most, seconds).await?;
        if !admitted {
            let mut refused = self.refused();
            if refused.len() >= MAX_REFUSED {
                refused.retain(|(known, _, at)| *known != what || *at == window);
            }
            if refused.len() < MAX_REFUSED {
                refused.insert(key);
            }
        }
        Ok(admitted)
    }

    /// What signs now.
    pub(crate) async fn signer(&self) -> Result<Arc<Signer>> {
        let mut key = self.key.lock().await;
        if let Some((_, signer)) = key.as_ref().filter(|(at, _)| at.elapsed() < KEY_FRESH) {
            return Ok(Arc::clone(signer));
        }
        let signer = Arc::new(Signer::new(&self.kept.key().await?)?);
        *key = Some((Instant::now(), Arc::clone(&signer)));
        Ok(signer)
    }

    /// Where the identity provider sends people back to.
    pub(crate) fn way_back(&self) -> String {
        format!("{}/signed-in", self.url)
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashSet<(&'static str, String, i64)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn caller(person: Person, signer: &Signer, id: &str) -> Caller {
    Caller { name: person.name, role: person.role, csrf: signer.sign("form", id), source: String::new() }
}

/// The id of a token, if it was signed here.
fn id_of<'a>(token: &'a str, signer: &Signer) -> Option<&'a str> {
    let (id, signature) = Some(token).filter(|token| token.len() <= MAX_TOKEN)?.split_once('.')?;
    same(signature, &signer.sign("session", id)).then_some(id)
}

/// A name without what would confuse a reader.
fn name_of(name: &str) -> String {
    let name: String = name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
    if name.trim().is_empty() { "somebody".to_owned() } else { name }
}

/// What is counted as one address: of IPv6 the network of 64 bits, which one sender has whole.
fn network(source: &str) -> String {
    match source.parse() {
        Ok(IpAddr::V6(address)) => {
            let [one, two, three, four, ..] = address.segments();
            format!("{one:x}:{two:x}:{three:x}:{four:x}::/64")
        }
        _ => source.to_owned(),
    }
}

/// Address of the page where somebody signs in with the identity provider.
pub(crate) fn sign_in_path() -> String {
    format!("{BASE}/sign-in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_not_signed_here_has_no_id() {
        let (signer, other) = (Signer::new(&"a".repeat(64)).unwrap(), Signer::new(&"b".repeat(64)).unwrap());
        let token = format!("7.{}", signer.sign("session", "7"));
        assert_eq!(id_of(&token, &signer), Some("7"));
        for wrong in [&token.replace('7', "8"), "7.", "7", "", &format!("7.{}", signer.sign("form", "7"))] {
            assert_eq!(id_of(wrong, &signer), None, "{wrong}");
        }
        assert_eq!(id_of(&token, &other), None);
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        assert_eq!(network("2001:db8:1:2:aaaa::1"), network("2001:db8:1:2::7"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn a_name_is_bounded_and_has_no_control_characters() {
        assert_eq!(name_of("a\u{1b}[31m\nb"), "a[31mb");
        assert_eq!(name_of(&"x".repeat(1000)).len(), MAX_NAME);
        assert_eq!(name_of(" \n"), "somebody");
    }
}
