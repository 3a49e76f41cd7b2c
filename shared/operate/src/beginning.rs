//! An id by a beginning that no other id has.

use std::collections::BTreeSet;

use crate::error::{OperateError, Result};

/// Shortest beginning that is searched for, in bytes: `live_a1b`, `whe_79f8`.
pub const SHORTEST: usize = 8;

/// Number of ids that an error names.
const NAMED: usize = 4;

/// The id that begins so, or is it; `None` if there is none.
///
/// # Errors
///
/// Several ids begin so.
pub fn only(beginning: &str, ids: impl IntoIterator<Item = String>) -> Result<Option<String>> {
    let mut found = BTreeSet::new();
    for id in ids {
        if id == beginning {
            return Ok(Some(id));
        }
        if beginning.len() >= SHORTEST && id.starts_with(beginning) {
            found.insert(id);
        }
    }
    if found.len() > 1 {
        let named: Vec<_> = found.into_iter().take(NAMED).collect();
        return Err(OperateError::usage(format!("{beginning} is the beginning of several ids: {}", named.join(", ")))
            .hint("Give more characters."));
    }
    Ok(found.pop_first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(beginning: &str, ids: &[&str]) -> Result<Option<String>> {
        only(beginning, ids.iter().map(|id| (*id).to_owned()))
    }

    #[test]
    fn an_id_is_found_by_a_beginning_that_no_other_has() {
        let ids = ["whe_aaaa1", "whe_aaab2", "whe_aaab2", "whe_aaab"];
        assert_eq!(among("whe_aaaa", &ids).unwrap().as_deref(), Some("whe_aaaa1"));
        assert_eq!(among("whe_aaab2", &ids).unwrap().as_deref(), Some("whe_aaab2"), "one, twice in the list");
        assert_eq!(among("whe_aaab", &ids).unwrap().as_deref(), Some("whe_aaab"), "an id, and a beginning of another");
        assert_eq!(among("whe_bbbb", &ids).unwrap(), None);
        assert_eq!(among("whe_", &ids).unwrap(), None, "too short");
        assert!(among("whe_aaab", &ids[..2]).unwrap().is_some());
        let error = among("whe_aaaa", &["whe_aaaa1", "whe_aaaa2"]).unwrap_err();
        assert!(error.message.contains("whe_aaaa1, whe_aaaa2"), "{}", error.message);
    }
}
