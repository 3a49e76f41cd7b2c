//! The JSON body of a request.

use std::fmt;
use std::marker::PhantomData;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IntoDeserializer as _, MapAccess, Visitor};

use crate::http::problem::Problem;

/// The body of an operation.
pub(crate) type Body<T> = Result<Json<Object<T>>, JsonRejection>;

/// The body of an operation that works without one.
pub(crate) type MaybeBody<T> = Result<Option<Json<Object<T>>>, JsonRejection>;

/// A JSON object. What serde derives for a struct takes a list of its values as well.
pub(crate) struct Object<T>(T);

/// A word of an enumeration. What serde derives for one takes `{"word": null}` as well.
pub(crate) struct Word<T>(pub(crate) T);

/// What the body says, or why it says nothing.
pub(crate) fn read<T>(body: Body<T>) -> Result<T, Problem> {
    body.map(|Json(Object(given))| given).map_err(|rejection| unusable(&rejection))
}

/// What the body says, if there is one.
pub(crate) fn optional<T: Default>(body: MaybeBody<T>) -> Result<T, Problem> {
    match body {
        Ok(given) => Ok(given.map(|Json(Object(given))| given).unwrap_or_default()),
        Err(rejection) => Err(unusable(&rejection)),
    }
}

fn unusable(rejection: &JsonRejection) -> Problem {
    Problem::new(rejection.status(), "unusable_body", rejection.body_text())
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(OfObject(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        T::deserialize(word.into_deserializer()).map(Self)
    }
}

impl<T: Default> Default for Word<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq, Eq)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Request {
        text: String,
        #[serde(default)]
        colours: Vec<Word<Colour>>,
    }

    fn parsed(json: &str) -> Result<Request, serde_json::Error> {
        serde_json::from_str(json).map(|Object(request)| request)
    }

    #[test]
    fn an_object_is_read() {
        let request = parsed(r#"{"text": "Hello", "colours": ["red"]}"#).unwrap();
        assert_eq!(request.text, "Hello");
        assert_eq!(request.colours.into_iter().map(|Word(colour)| colour).collect::<Vec<_>>(), [Colour::Red]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [r#"["Hello"]"#, r#"["Hello", []]"#, "[]", r#""Hello""#, "7", "true", "null"] {
            let error = parsed(json).err().expect(json);
            assert!(error.to_string().contains("expected an object"), "{json}: {error}");
        }
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for colour in [r#"{"red": null}"#, r#"["red"]"#, "7", "null", r#""green""#] {
            let json = format!(r#"{{"text": "Hello", "colours": [{colour}]}}"#);
            assert!(parsed(&json).is_err(), "{json}");
        }
    }
}
