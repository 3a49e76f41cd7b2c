//! The way in on this machine, for one person: a one-time link, which becomes a session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::session::{Caller, Opened, Role};
use super::tokens::{hash, random, same};
use crate::Result;

/// The way in. Nothing is kept when the process ends.
pub(crate) struct Loopback {
    /// `127.0.0.1:PORT` and `localhost:PORT`.
    pub(crate) authorities: [String; 2],
    name: String,
    role: Role,
    /// Hash of the link, until it is used.
    link: Mutex<Option<String>>,
    /// Tokens that forms carry, by the hash of the session.
    sessions: Mutex<HashMap<String, String>>,
}

impl Loopback {
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
        Caller { name: self.name.clone(), role: self.role, csrf, source: String::new() }
    }

    /// Uses the link. `None` if it is unknown or used: which of them is not told.
    pub(crate) fn open(&self, link: &str) -> Result<Option<Opened>> {
        {
            let mut expected = self.link.lock().unwrap_or_else(PoisonError::into_inner);
            if !expected.as_ref().is_some_and(|expected| same(expected, &hash(link))) {
                return Ok(None);
            }
            *expected = None;
        }
        let (token, csrf) = (random()?, random()?);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(hash(&token), csrf.clone());
        Ok(Some(Opened { token, caller: self.caller(csrf) }))
    }

    /// Whose session this is.
    pub(crate) fn find(&self, token: &str) -> Option<Caller> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&hash(token)).cloned().map(|csrf| self.caller(csrf))
    }

    /// Ends a session.
    pub(crate) fn end(&self, token: &str) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&hash(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_used_once() {
        let (door, link) = Loopback::new(7, "ada", Role::Viewer).unwrap();
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
