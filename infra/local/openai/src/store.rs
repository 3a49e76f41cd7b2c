//! Objects by id, listed in pages as OpenAI lists them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::errors::ApiError;

/// An object as OpenAI shows it, and the state that is not shown. A command may set any field of `shown`.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<S = ()> {
    #[serde(skip)]
    pub(crate) id: String,
    /// A JSON object.
    pub(crate) shown: Value,
    #[serde(skip)]
    pub(crate) state: S,
}

impl<S> Object<S> {
    /// An object whose id is the `id` of `shown`.
    pub(crate) fn new(shown: Value, state: S) -> Self {
        let id = shown["id"].as_str().unwrap_or_default().to_owned();
        Self { id, shown, state }
    }

    pub(crate) fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.shown[field] = value.into();
    }

    pub(crate) fn set_all(&mut self, fields: Map<String, Value>) {
        for (name, value) in fields {
            self.set(&name, value);
        }
    }
}

/// Objects in the order of their creation.
pub(crate) struct Store<S = ()> {
    objects: Mutex<Vec<Object<S>>>,
    /// OpenAI's answer for an id that is not in the store.
    not_found: fn(&str) -> ApiError,
}

impl<S: Clone + Send + 'static> Store<S> {
    pub(crate) fn new(not_found: fn(&str) -> ApiError) -> Arc<Self> {
        Arc::new(Self { objects: Mutex::default(), not_found })
    }

    /// Adds the object and returns it.
    pub(crate) fn insert(&self, object: Object<S>) -> Object<S> {
        lock(&self.objects).push(object.clone());
        object
    }

    pub(crate) fn get(&self, id: &str) -> Result<Object<S>, ApiError> {
        self.newest(|object| object.id == id).ok_or_else(|| (self.not_found)(id))
    }

    pub(crate) fn newest(&self, wanted: impl Fn(&Object<S>) -> bool) -> Option<Object<S>> {
        lock(&self.objects).iter().rev().find(|object| wanted(object)).cloned()
    }

    /// All objects, oldest first.
    pub(crate) fn all(&self) -> Vec<Object<S>> {
        lock(&self.objects).clone()
    }

    pub(crate) fn remove(&self, id: &str) -> Result<Object<S>, ApiError> {
        let mut objects = lock(&self.objects);
        let position = objects.iter().position(|object| object.id == id).ok_or_else(|| (self.not_found)(id))?;
        Ok(objects.remove(position))
    }

    /// Changes an object under the lock; a refused change leaves it as it was. Returns the object and the change's result.
    pub(crate) fn update<R, E: From<ApiError>>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Object<S>) -> Result<R, E>,
    ) -> Result<(Object<S>, R), E> {
        let mut objects = lock(&self.objects);
        let object = objects.iter_mut().find(|object| object.id == id).ok_or_else(|| (self.not_found)(id))?;
        let mut changed = object.clone();
        let result = change(&mut changed)?;
        *object = changed.clone();
        Ok((changed, result))
    }

    /// Changes an object unconditionally and returns it.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Object<S>)) -> Result<Object<S>, ApiError> {
        let (object, ()) = self.update(id, |object| {
            change(object);
            Ok::<_, ApiError>(())
        })?;
        Ok(object)
    }

    /// The route that retrieves an object by its id.
    pub(crate) fn retrieve<R: Clone + Send + Sync + 'static>(self: &Arc<Self>) -> MethodRouter<R> {
        let store = Arc::clone(self);
        get(|Path(id): Path<String>| async move { store.get(&id).map(Json) })
    }

    /// The page that a list call asks for.
    pub(crate) fn list(
        &self,
        query: &ListQuery,
        size: PageSize,
        wanted: impl Fn(&Object<S>) -> bool,
    ) -> Result<Json<Page>, ApiError> {
        let mut objects = self.all();
        objects.retain(wanted);
        page(objects, query, size, self.not_found)
    }
}

/// The parameters of a list call.
#[derive(Debug)]
pub(crate) struct ListQuery(pub(crate) HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = QueryRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, QueryRejection> {
        Query::from_request_parts(parts, state).await.map(|Query(query)| Self(query))
    }
}

impl ListQuery {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The default and the highest `limit` of a list call.
#[derive(Clone, Copy)]
pub(crate) struct PageSize(pub(crate) usize, pub(crate) usize);

pub(crate) const USUAL_PAGE: PageSize = PageSize(20, 100);

/// One page of a list, as OpenAI answers it.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    object: &'static str,
    data: Vec<Value>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// The page of objects, given oldest first, that `after`, `limit` and `order` ask for.
pub(crate) fn page<S>(
    mut objects: Vec<Object<S>>,
    query: &ListQuery,
    PageSize(default, max): PageSize,
    not_found: fn(&str) -> ApiError,
) -> Result<Json<Page>, ApiError> {
    let limit = query.get("limit").map_or(Ok(default), str::parse).ok().filter(|limit| (1..=max).contains(limit));
    let limit =
        limit.ok_or_else(|| ApiError::invalid_value("limit", format!("'limit' must be between 1 and {max}.")))?;
    match query.get("order") {
        None | Some("desc") => objects.reverse(),
        Some("asc") => {}
        Some(_) => return Err(ApiError::invalid_value("order", "'order' must be 'asc' or 'desc'.")),
    }
    if let Some(after) = query.get("after") {
        let position = objects.iter().position(|object| object.id == after).ok_or_else(|| not_found(after))?;
        objects.drain(..=position);
    }
    let has_more = objects.len() > limit;
    objects.truncate(limit);
    let id = |object: Option<&Object<S>>| object.map(|object| object.id.clone());
    let (first_id, last_id) = (id(objects.first()), id(objects.last()));
    let data = objects.into_iter().map(|object| object.shown).collect();
    Ok(Json(Page { object: "list", data, first_id, last_id, has_more }))
}

/// Locks a mutex that an earlier holder may have poisoned: all state here is replaced in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(query: &[(&str, &str)], wanted: impl Fn(&Object) -> bool) -> Result<Page, ApiError> {
        let store = Store::new(|id| ApiError::not_found(id));
        for id in ["a", "b", "c"] {
            store.insert(Object::new(json!({ "id": id }), ()));
        }
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        store.list(&ListQuery(query.collect()), PageSize(2, 3), wanted).map(|Json(page)| page)
    }

    fn ids(page: &Page) -> String {
        page.data.iter().map(|object| object["id"].as_str().unwrap()).collect()
    }

    #[test]
    fn pages_follow_each_other_newest_first() {
        let first = list(&[], |_| true).unwrap();
        assert_eq!((ids(&first), first.has_more), ("cb".to_owned(), true));
        let second = list(&[("after", &first.last_id.unwrap())], |_| true).unwrap();
        assert_eq!((ids(&second), second.has_more), ("a".to_owned(), false));
    }

    #[test]
    fn an_empty_page_has_no_ids() {
        let page = list(&[("after", "a")], |_| true).unwrap();
        assert_eq!((page.data.len(), page.first_id, page.last_id), (0, None, None));
    }

    #[test]
    fn an_unknown_cursor_limit_or_order_is_refused() {
        for query in [("after", "z"), ("limit", "0"), ("limit", "4"), ("limit", "x"), ("order", "up")] {
            assert!(list(&[query], |_| true).is_err(), "{query:?}");
        }
    }

    #[test]
    fn filtered_objects_are_neither_listed_nor_counted() {
        let page = list(&[("order", "asc")], |object| object.id != "b").unwrap();
        assert_eq!((ids(&page), page.has_more), ("ac".to_owned(), false));
    }

    #[test]
    fn a_refused_change_leaves_the_object_as_it_was() {
        let store = Store::new(|id| ApiError::not_found(id));
        store.insert(Object::new(json!({ "id": "a", "n": 1 }), ()));
        let refused = store.update("a", |object| {
            object.set("n", 2);
            Err::<(), _>(ApiError::invalid("no"))
        });
        assert!(refused.is_err() && store.get("a").unwrap().shown["n"] == 1);
    }
}
