//! One line of a result file, parsed for the few fields that are counted.
//!
//! The parser borrows from the line and skips every other field, which is most of a line. It is tolerant: a field of an
//! unexpected type counts as absent, because one odd field is not a reason to reject the line.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The result of one request.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ResultLine<'a> {
    pub(super) custom_id: Scalar<'a>,
    pub(super) response: Lenient<Response<'a>>,
    pub(super) error: Lenient<RequestError<'a>>,
}

/// OpenAI's response to the request.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Response<'a> {
    pub(super) status_code: Scalar<'a>,
    pub(super) body: Lenient<Body<'a>>,
}

/// The body of the response, which depends on the endpoint: a response, a chat completion, an embedding, an error.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Body<'a> {
    pub(super) model: Scalar<'a>,
    pub(super) usage: Lenient<Usage<'a>>,
    pub(super) error: Lenient<RequestError<'a>>,
}

/// The error of a failed request.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct RequestError<'a> {
    pub(super) code: Scalar<'a>,
    #[serde(rename = "type")]
    pub(super) kind: Scalar<'a>,
    pub(super) message: Scalar<'a>,
}

/// Token counts. Endpoints name them input and output, or prompt and completion.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Usage<'a> {
    pub(super) input_tokens: Scalar<'a>,
    pub(super) prompt_tokens: Scalar<'a>,
    pub(super) output_tokens: Scalar<'a>,
    pub(super) completion_tokens: Scalar<'a>,
    pub(super) total_tokens: Scalar<'a>,
    pub(super) input_tokens_details: Lenient<Details<'a>>,
    pub(super) prompt_tokens_details: Lenient<Details<'a>>,
    pub(super) output_tokens_details: Lenient<Details<'a>>,
    pub(super) completion_tokens_details: Lenient<Details<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Details<'a> {
    pub(super) cached_tokens: Scalar<'a>,
    pub(super) reasoning_tokens: Scalar<'a>,
}

impl<'a> ResultLine<'a> {
    /// `None` when the line is not a JSON object.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<Lenient<Self>>(line).ok()?.0
    }
}

/// A string, an unsigned number, or any other value.
#[derive(Default)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Count(u64),
    #[default]
    Other,
}

impl Scalar<'_> {
    /// The text, unless it is empty.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            _ => None,
        }
    }
}

/// An object, or `None` for any other value.
pub(super) struct Lenient<T>(pub(super) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A value that takes some types of JSON, and is its default for any other.
trait Tolerant<'de>: Default {
    fn of_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }

    fn of_count(_: u64) -> Self {
        Self::default()
    }

    fn of_object<A: MapAccess<'de>>(mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl<'de> Tolerant<'de> for Scalar<'de> {
    fn of_text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn of_count(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<'de, T: Deserialize<'de>> Tolerant<'de> for Lenient<T> {
    fn of_object<A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(|object| Self(Some(object)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TolerantVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TolerantVisitor(PhantomData))
    }
}

struct TolerantVisitor<T>(PhantomData<T>);

impl<'de, T: Tolerant<'de>> Visitor<'de> for TolerantVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::of_text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, count: u64) -> Result<T, E> {
        Ok(T::of_count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::of_object(fields)
    }
}
