//! Who is looking, and how they came in.

use super::hosted::Hosted;
use super::loopback::Loopback;
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

    /// The role of a word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator].into_iter().find(|role| role.word() == word)
    }
}

/// Who is looking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The token that every form carries.
    pub(crate) csrf: String,
    /// The address that the request came from.
    pub(crate) source: String,
}

/// Where a request came in and from: what API Gateway says of it.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Domain of the API, or the one of your own that leads to it.
    pub domain: String,
    /// The sender's address.
    pub source: String,
}

/// A session that has just begun.
pub(crate) struct Opened {
    /// The token that the cookie holds.
    pub(crate) token: String,
    pub(crate) caller: Caller,
}

/// What is counted for each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A try to sign in.
    SignIn,
    /// Something that acts.
    Write,
}

/// The way in.
pub(crate) enum Door {
    /// For one person, on this machine.
    Loopback(Loopback),
    /// For a team, behind the HTTP API.
    Hosted(Box<Hosted>),
}

impl Door {
    /// Uses a link. `None` if it is unknown, used or over: which of them is not told.
    pub(crate) async fn open(&self, link: &str) -> Result<Option<Opened>> {
        match self {
            Self::Loopback(door) => door.open(link),
            Self::Hosted(door) => door.open(link).await,
        }
    }

    /// Whose session this is.
    pub(crate) async fn find(&self, token: &str) -> Result<Option<Caller>> {
        match self {
            Self::Loopback(door) => Ok(door.find(token)),
            Self::Hosted(door) => door.find(token).await,
        }
    }

    /// Ends a session.
    pub(crate) async fn end(&self, token: &str) -> Result<()> {
        match self {
            Self::Loopback(door) => {
                door.end(token);
                Ok(())
            }
            Self::Hosted(door) => door.end(token).await,
        }
    }

    /// Whether an address has not yet tried too often. On this machine there is one person, who is not counted.
    pub(crate) async fn admits(&self, effort: Effort, source: &str) -> Result<bool> {
        match self {
            Self::Loopback(_) => Ok(true),
            Self::Hosted(door) => door.admits(effort, source).await,
        }
    }

    /// Whether the request is for this console, by the name of its host: no other page's name leads here (DNS rebinding).
    pub(crate) fn is_ours(&self, host: &str, reached: Option<&Reached>) -> bool {
        match self {
            Self::Loopback(door) => door.authorities.iter().any(|ours| ours == host),
            Self::Hosted(door) => {
                let name = host.split_once(':').map_or(host, |(name, _)| name);
                host == door.authority || reached.is_some_and(|reached| reached.domain == name)
            }
        }
    }

    /// Whether the origin of a page is this console, which was asked as `host`. Behind a front the host's name is another.
    pub(crate) fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        match self {
            Self::Loopback(_) => authority == Some(host),
            Self::Hosted(door) => authority.is_some_and(|one| one == host || one == door.authority),
        }
    }

    /// The header that sets the session's cookie; with an empty token the one that takes it away.
    ///
    /// On loopback there is no `__Host-` and no `Secure`: they ask for TLS.
    pub(crate) fn cookie(&self, token: &str) -> String {
        let (name, age) = (self.cookie_name(), if token.is_empty() { "; Max-Age=0" } else { "" });
        match self {
            Self::Loopback(_) => format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{age}"),
            Self::Hosted(_) => format!("{name}={token}; Path=/; Secure; HttpOnly; SameSite=Strict{age}"),
        }
    }

    /// Name of the session's cookie.
    pub(crate) const fn cookie_name(&self) -> &'static str {
        match self {
            Self::Loopback(_) => "openai-webhooks-console",
            Self::Hosted(_) => "__Host-openai-webhooks-console",
        }
    }

    /// What to do to get in.
    pub(crate) const fn how_to_sign_in(&self) -> &'static str {
        match self {
            Self::Loopback(_) => "Start it again: openai-webhooks console",
            Self::Hosted(_) => "Get a link: openai-webhooks console --deployed",
        }
    }

    /// What to do to get the right to act.
    pub(crate) const fn how_to_act(&self) -> &'static str {
        match self {
            Self::Loopback(_) => "Start it without --read-only: openai-webhooks console",
            Self::Hosted(_) => {
                "Sign in as an operator: openai-webhooks console --deployed, or your provider's group for operators."
            }
        }
    }

    /// The door of the deployed console.
    pub(crate) fn hosted(&self) -> Option<&Hosted> {
        match self {
            Self::Loopback(_) => None,
            Self::Hosted(door) => Some(door),
        }
    }
}
