//! Objects by id, listed in pages as OpenAI lists them.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::app::lock;

/// What stands on a shelf.
pub(crate) trait Identified: Clone {
    fn id(&self) -> &str;
}

/// Objects in the order of their creation.
pub(crate) struct Shelf<T>(Mutex<Vec<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

/// `order` of a list call, by creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    #[default]
    Desc,
}

/// One page of a list, as OpenAI answers it.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    object: &'static str,
    pub(crate) data: Vec<T>,
    first_id: Option<String>,
    last_id: Option<String>,
    pub(crate) has_more: bool,
}

impl<T: Identified> Shelf<T> {
    pub(crate) fn insert(&self, item: T) {
        lock(&self.0).push(item);
    }

    pub(crate) fn get(&self, id: &str) -> Option<T> {
        lock(&self.0).iter().find(|item| item.id() == id).cloned()
    }

    pub(crate) fn remove(&self, id: &str) -> Option<T> {
        let mut items = lock(&self.0);
        let position = items.iter().position(|item| item.id() == id)?;
        Some(items.remove(position))
    }

    /// Changes one item under the lock, so that two commands never see the same state of it.
    pub(crate) fn update<R>(&self, id: &str, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        lock(&self.0).iter_mut().find(|item| item.id() == id).map(change)
    }

    /// The page of at most `limit` items behind `after`; `None` when there is no item `after`.
    pub(crate) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        order: Order,
        wanted: impl Fn(&T) -> bool,
    ) -> Option<Page<T>> {
        let mut items: Vec<T> = lock(&self.0).iter().filter(|item| wanted(item)).cloned().collect();
        if order == Order::Desc {
            items.reverse();
        }
        let start = match after {
            Some(after) => items.iter().position(|item| item.id() == after)? + 1,
            None => 0,
        };
        let mut data = items.split_off(start);
        let has_more = data.len() > limit;
        data.truncate(limit);
        Some(Page {
            object: "list",
            first_id: data.first().map(|item| item.id().to_owned()),
            last_id: data.last().map(|item| item.id().to_owned()),
            data,
            has_more,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Identified for String {
        fn id(&self) -> &str {
            self
        }
    }

    fn shelf() -> Shelf<String> {
        let shelf = Shelf::default();
        for id in ["a", "b", "c"] {
            shelf.insert(id.to_owned());
        }
        shelf
    }

    #[test]
    fn pages_follow_each_other_newest_first() {
        let shelf = shelf();
        let first = shelf.page(None, 2, Order::Desc, |_| true).unwrap();
        assert_eq!((first.data.join(""), first.has_more), ("cb".to_owned(), true));
        let second = shelf.page(first.last_id.as_deref(), 2, Order::Desc, |_| true).unwrap();
        assert_eq!((second.data.join(""), second.has_more), ("a".to_owned(), false));
    }

    #[test]
    fn an_empty_page_has_no_ids() {
        let page = shelf().page(Some("a"), 2, Order::Desc, |_| true).unwrap();
        assert_eq!((page.data.len(), page.first_id, page.last_id), (0, None, None));
    }

    #[test]
    fn an_unknown_cursor_is_no_page() {
        assert!(shelf().page(Some("z"), 2, Order::Asc, |_| true).is_none());
    }

    #[test]
    fn filtered_items_neither_show_nor_count() {
        let page = shelf().page(None, 2, Order::Asc, |id| id != "b").unwrap();
        assert_eq!((page.data.join(""), page.has_more), ("ac".to_owned(), false));
    }
}
