//! Who is looking, and how they came in: by a one-time link, which becomes a session.

use std::collections::HashMap;
use std::sync::Mutex;

use super::tokens::{hash, random, same};
use crate::Result;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and act.
    Operator,
}

impl Role {
    /// The role as it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "read-only",
            Self::Operator => "operator",
        }
    }
}

/// Who is looking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The token that every form carries.
    pub(crate) csrf: String,
}

/// Name of the cookie. No `__Host-` and no `Secure`: they ask for TLS, which loopback has none of.
pub(crate) const COOKIE: &str = "openai-webhooks-console";

/// The way in, for one person on this machine. Nothing is kept when the process ends.
pub(crate) struct Door {
    /// `127.0.0.1:PORT` and `localhost:PORT`.
    pub(crate) authorities: [String; 2],
    name: String,
    role: Role,
    /// Hash of the link, until it is used.
    link: Mutex<Option<String>>,
    /// Tokens that forms carry, by the hash of the session.
    sessions: Mutex<HashMap<String, String>>,
}

/// A session that has just begun.
pub(crate) struct Opened {
    /// The token that the cookie holds.
    pub(crate) token: String,
    pub(crate) caller: Caller,
}

impl Door {
    /// The way in for the person `name`, and the link's token.
    pub(crate) fn new(port: u16, name: &str, role: Role) -> Result<(Self, String)> {
        let link = random()?;
        let door = Self {
            authorities: [format!("127.0.0.1:{port}"), format!("localhost:{port}")],
            name: name.to_owned(),
            role,
            link: Mutex::new(Some(hash(&link))),
            sessions: Mutex::default(),
        };
        Ok((door, link))
    }

    fn caller(&self, csrf: String) -> Caller {
        Caller { name: self.name.clone(), role: self.role, csrf }
    }

    /// Uses the link. `None` if it is unknown or used: which of them is not told.
    pub(crate) fn open(&self, link: &str) -> Result<Option<Opened>> {
        {
            let mut expected = self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !expected.as_ref().is_some_and(|expected| same(expected, &hash(link))) {
                return Ok(None);
            }
            *expected = None;
        }
        let (token, csrf) = (random()?, random()?);
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sessions.insert(hash(&token), csrf.clone());
        Ok(Some(Opened { token, caller: self.caller(csrf) }))
    }

    /// Whose session this is.
    pub(crate) fn find(&self, token: &str) -> Option<Caller> {
        let sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sessions.get(&hash(token)).cloned().map(|csrf| self.caller(csrf))
    }

    /// Ends a session.
    pub(crate) fn end(&self, token: &str) {
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sessions.remove(&hash(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_used_once() {
        let (door, link) = Door::new(7, "ada", Role::Viewer).unwrap();
        assert!(door.open("other").unwrap().is_none());
        let opened = door.open(&link).unwrap().unwrap();
        assert!(door.open(&link).unwrap().is_none());
        let caller = door.find(&opened.token).unwrap();
        assert_eq!((caller.name.as_str(), caller.role), ("ada", Role::Viewer));
        assert!(door.find("other").is_none());
        door.end(&opened.token);
        assert!(door.find(&opened.token).is_none());
    }
}
