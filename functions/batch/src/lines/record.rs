//! One line of a result file, read for the few fields that are counted.
//!
//! Nothing is copied and nothing is built: what is not asked for is skipped over, which is most of a line. And nothing
//! is insisted on: a field of an unexpected kind reads as absent, since one odd field is no reason to give up a line.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A line, if it is a JSON object at all.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow, default)]
    pub(super) custom_id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) response: Maybe<Response<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Maybe<Fault<'a>>,
}

/// What OpenAI answered to the request.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) status_code: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) body: Maybe<Body<'a>>,
}

/// The answer's body. It is that of the endpoint: a response, a chat completion, an embedding, an error.
#[derive(Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default)]
    pub(super) model: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Maybe<Usage<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Maybe<Fault<'a>>,
}

/// Why a request failed.
#[derive(Deserialize)]
pub(super) struct Fault<'a> {
    #[serde(borrow, default)]
    pub(super) code: Scalar<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) message: Scalar<'a>,
}

/// Tokens, under the names that the endpoints have for them: input and output, or prompt and completion.
#[derive(Deserialize)]
pub(super) struct Usage<'a> {
    #[serde(borrow, default)]
    input_tokens: Scalar<'a>,
    #[serde(borrow, default)]
    prompt_tokens: Scalar<'a>,
    #[serde(borrow, default)]
    output_tokens: Scalar<'a>,
    #[serde(borrow, default)]
    completion_tokens: Scalar<'a>,
    #[serde(borrow, default)]
    total_tokens: Scalar<'a>,
    #[serde(borrow, default)]
    input_tokens_details: Maybe<Details<'a>>,
    #[serde(borrow, default)]
    prompt_tokens_details: Maybe<Details<'a>>,
    #[serde(borrow, default)]
    output_tokens_details: Maybe<Details<'a>>,
    #[serde(borrow, default)]
    completion_tokens_details: Maybe<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    cached_tokens: Scalar<'a>,
    #[serde(borrow, default)]
    reasoning_tokens: Scalar<'a>,
}

impl<'a> Record<'a> {
    /// `None` when the line is no JSON, or no object.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<Maybe<Self>>(line).ok()?.0
    }
}

impl Usage<'_> {
    pub(super) fn input(&self) -> u64 {
        self.input_tokens.count().or(self.prompt_tokens.count()).unwrap_or_default()
    }

    pub(super) fn cached(&self) -> u64 {
        let details = self.input_tokens_details.0.as_ref().or(self.prompt_tokens_details.0.as_ref());
        details.and_then(|details| details.cached_tokens.count()).unwrap_or_default()
    }

    pub(super) fn output(&self) -> u64 {
        self.output_tokens.count().or(self.completion_tokens.count()).unwrap_or_default()
    }

    pub(super) fn reasoning(&self) -> u64 {
        let details = self.output_tokens_details.0.as_ref().or(self.completion_tokens_details.0.as_ref());
        details.and_then(|details| details.reasoning_tokens.count()).unwrap_or_default()
    }

    pub(super) fn total(&self) -> u64 {
        self.total_tokens.count().unwrap_or_else(|| self.input().saturating_add(self.output()))
    }
}

/// A field that is a text or a number, or something that is neither.
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

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Scalar<'de>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// An object, or something that is none.
pub(super) struct Maybe<T>(pub(super) Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

struct MaybeVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MaybeVisitor<T> {
    type Value = Maybe<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Maybe<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(|object| Maybe(Some(object)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Maybe<T>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Maybe(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Maybe<T>, E> {
        Ok(Maybe(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Maybe<T>, E> {
        Ok(Maybe(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Maybe<T>, E> {
        Ok(Maybe(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Maybe<T>, E> {
        Ok(Maybe(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Maybe<T>, E> {
        Ok(Maybe(None))
    }

    fn visit_unit<E>(self) -> Result<Maybe<T>, E> {
        Ok(Maybe(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaybeVisitor(PhantomData))
    }
}
