//! Tolerant reading of OpenAI's JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::{fmt, iter};

use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Number, Value};

/// Levels of nesting in a tree. What lies deeper becomes its JSON text.
const MAX_LEVELS: usize = 32;

/// Longest text that becomes a tree, in bytes. A tree takes up to thirty times the memory of its text.
const MAX_TREE: usize = 64 * 1024;

/// The end of the year 9999. What is greater counts something else than seconds.
const LAST_SECOND: i64 = 253_402_300_799;

/// A value in a JSON text. Each look-up scans the text; only what is asked for is copied.
///
/// So an object of any size and shape takes the memory of its text, and no nesting the stack. Whatever JSON's grammar
/// allows can be read, and one odd value never makes its neighbours unreadable:
///
/// | odd value | is read as |
/// |---|---|
/// | half of a surrogate pair (`"\ud83d"`), bytes that are not UTF-8 | U+FFFD in its string |
/// | a number that fits nowhere, such as `1e999` | absent as a count or a time; its digits in a tree |
/// | a repeated member | the last one |
/// | a member of another type than expected, or empty | absent |
#[derive(Clone, Copy)]
pub struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// Reads a whole text; `None` when it is not JSON.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<IgnoredAny>(text).ok()?;
        Some(Self::of(text))
    }

    /// Reads a text that [`parse`](Self::parse) accepts, or one that was cut off: what came before is read.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Self {
        Self(text.trim_ascii())
    }

    /// The value's text.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The members of an object, repeated ones too; none of another value.
    pub fn members(self) -> impl Iterator<Item = (Self, Self)> {
        let mut parts = self.parts(b'{');
        iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// The items of a list; none of another value.
    pub fn items(self) -> impl Iterator<Item = Self> {
        self.parts(b'[')
    }

    fn parts(self, bracket: u8) -> Parts<'a> {
        Parts(self.0.strip_prefix(&[bracket]).unwrap_or_default())
    }

    /// The members with these names, found in one scan.
    #[must_use]
    pub fn pick<const N: usize>(self, names: [&str; N]) -> [Option<Self>; N] {
        let mut found = [None; N];
        for (name, value) in self.members() {
            if let Some(position) = names.iter().position(|known| name.is(known)) {
                found[position] = Some(value);
            }
        }
        found
    }

    /// The member with this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.pick([name])[0]
    }

    /// The value at a JSON pointer of names, such as `/usage/total_tokens`.
    #[must_use]
    pub fn at(self, pointer: &str) -> Option<Self> {
        pointer.split('/').skip(1).try_fold(self, Self::get)
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.0.starts_with(b"{")
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(self) -> bool {
        self.0.starts_with(b"[")
    }

    /// Whether it says nothing: null, an empty string, or an object or a list of nothing else.
    #[must_use]
    pub fn is_empty(self) -> bool {
        let is_blank = |value: Self| match value.0 {
            b"null" | b"\"\"" => true,
            [b'{' | b'[', rest @ ..] => Parts(rest).next().is_none(),
            _ => false,
        };
        let mut parts = self.items().chain(self.members().map(|(_, value)| value)).peekable();
        is_blank(self) || (parts.peek().is_some() && parts.all(is_blank))
    }

    /// The characters of a string.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix(b"\"")?;
        Some(unescaped(inner.strip_suffix(b"\"").unwrap_or(inner)))
    }

    /// The characters of a string that is not empty.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        self.string().filter(|text| !text.is_empty())
    }

    fn is(self, name: &str) -> bool {
        match self.0 {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => inner == name.as_bytes(),
            _ => self.string().is_some_and(|own| own == name),
        }
    }

    fn word(self) -> Option<&'a str> {
        str::from_utf8(self.0).ok()
    }

    /// An unsigned whole number.
    #[must_use]
    pub fn count(self) -> Option<u64> {
        self.word()?.parse().ok()
    }

    /// A time in Unix seconds; a fraction is cut off. Absent when it is before 1970 or after the year 9999.
    #[must_use]
    pub fn seconds(self) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "a number that is too large is not a time, cut off or not")]
        let whole = self.word()?.parse::<f64>().ok()? as i64;
        Some(whole).filter(|seconds| (1..=LAST_SECOND).contains(seconds))
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(self) -> Option<bool> {
        self.word()?.parse().ok()
    }

    /// The value as a tree; `None` when its text is longer than 64 KiB.
    ///
    /// A number that 64 bits cannot hold exactly becomes a string of its digits. What is nested deeper than 32 levels becomes
    /// a string of its JSON.
    #[must_use]
    pub fn value(self) -> Option<Value> {
        serde_json::to_value(self.tree(false)?).ok()
    }

    /// As [`value`](Self::value), but a number stays as OpenAI wrote it, digit for digit, if it is not beyond all bounds.
    #[must_use]
    pub fn exact(self) -> Option<Box<RawValue>> {
        to_raw_value(&self.tree(true)?).ok()
    }

    /// As [`exact`](Self::exact), without the members of this name, however deep they are.
    #[must_use]
    pub fn exact_without(self, name: &'static str) -> Option<Box<RawValue>> {
        to_raw_value(&Tree { without: Some(name), ..self.tree(true)? }).ok()
    }

    fn tree(self, exact: bool) -> Option<Tree<'a>> {
        (self.0.len() <= MAX_TREE).then_some(Tree { json: self, levels: MAX_LEVELS, exact, without: None })
    }
}

/// Shows the length only: it may be somebody's data.
impl fmt::Debug for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Json({} bytes)", self.0.len())
    }
}

/// The values of a list, or the names and values of an object, up to its closing bracket.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let begin = self.0.iter().position(|byte| !is_between(*byte))?;
        let (part, rest) = self.0[begin..].split_at(length(&self.0[begin..]));
        self.0 = rest;
        Some(Json(part)).filter(|_| !part.is_empty())
    }
}

const fn is_between(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b' ' | b'\t' | b'\n' | b'\r')
}

/// Length of the value that a text begins with; 0 at a closing bracket.
fn length(text: &[u8]) -> usize {
    let (mut at, mut open) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        let closes = matches!(byte, b'}' | b']');
        if open == 0 && (closes || is_between(byte)) {
            break;
        }
        at = if byte == b'"' { string_end(text, at) } else { at + 1 };
        match byte {
            b'{' | b'[' => open += 1,
            _ if closes => open -= 1,
            _ => {}
        }
        if open == 0 && (closes || byte == b'"') {
            break;
        }
    }
    at
}

/// Where the string that begins at this position has ended.
fn string_end(text: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

fn unescaped(text: &[u8]) -> Cow<'_, str> {
    if !text.contains(&b'\\') {
        return String::from_utf8_lossy(text);
    }
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (character, length) = escape(&rest[at + 1..]);
        plain.extend_from_slice(&rest[..at]);
        plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = rest.get(at + 1 + length..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    Cow::Owned(match String::from_utf8(plain) {
        Ok(text) => text,
        Err(odd) => String::from_utf8_lossy(odd.as_bytes()).into_owned(),
    })
}

/// The character that an escape stands for, and the escape's length without its first backslash.
fn escape(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| u16::from_str_radix(str::from_utf8(text.get(at..at + 4)?).ok()?, 16).ok();
    let character = match text.first() {
        Some(b'u') => {
            let second = unit(7).filter(|_| text[5..7] == *b"\\u");
            let decoded = char::decode_utf16(unit(1).into_iter().chain(second)).next();
            let character = decoded.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
            return (character, if character.len_utf16() == 2 { 11 } else { 5 });
        }
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(other) => char::from(*other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (character, 1)
}

struct Tree<'a> {
    json: Json<'a>,
    levels: usize,
    exact: bool,
    /// The name of members that are left out.
    without: Option<&'static str>,
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { json, levels, exact, without } = *self;
        let below = |json| Tree { json, levels: levels - 1, exact, without };
        match json.0.first() {
            // Its text would have the members that are left out.
            Some(b'{' | b'[') if levels == 0 && without.is_some() => serializer.serialize_unit(),
            Some(b'{' | b'[') if levels == 0 => serializer.serialize_str(&String::from_utf8_lossy(json.0)),
            Some(b'{') => {
                let members = json.members().filter(|(name, _)| !without.is_some_and(|without| name.is(without)));
                let members = members.map(|(name, value)| (name.string().unwrap_or_default(), below(value)));
                serializer.collect_map(members.collect::<BTreeMap<_, _>>())
            }
            Some(b'[') => serializer.collect_seq(json.items().map(below)),
            Some(b'"') => serializer.serialize_str(&json.string().unwrap_or_default()),
            _ => match json.word().unwrap_or_default() {
                "true" => serializer.serialize_bool(true),
                "false" => serializer.serialize_bool(false),
                "null" => serializer.serialize_unit(),
                number => match (number.parse::<f64>(), exact_number(number)) {
                    (Ok(_), Some(number)) if !exact => number.serialize(serializer),
                    (Ok(size), _) if exact && size.is_finite() => match serde_json::from_str::<&RawValue>(number) {
                        Ok(number) => number.serialize(serializer),
                        Err(_) => serializer.serialize_str(number),
                    },
                    _ => serializer.serialize_str(number),
                },
            },
        }
    }
}

/// The number, if 64 bits hold it with all its digits.
fn exact_number(text: &str) -> Option<Number> {
    if !text.contains(['.', 'e', 'E']) {
        return text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok();
    }
    let number = Number::from_f64(text.parse().ok()?)?;
    // A double keeps 15 digits in any case, except of what is too close to zero.
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_exact = (digits <= 15 && number.as_f64() != Some(0.0)) || number.to_string() == text;
    is_exact.then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Json<'_> {
        Json::parse(text.as_bytes()).unwrap()
    }

    fn string(text: &str) -> String {
        read(text).string().unwrap().into_owned()
    }

    #[test]
    fn members_and_items_are_found() {
        let json = read(r#" {"a" : [1, {"b": "]}"} ,"x\"y"], "n":null,"o": {"p":{"q":-7.5e3}}, "e":{} } "#);
        let items: Vec<_> = json.get("a").unwrap().items().map(|item| item.bytes().to_vec()).collect();
        assert_eq!(items, [&b"1"[..], br#"{"b": "]}"}"#, br#""x\"y""#]);
        assert_eq!(json.at("/o/p/q").unwrap().bytes(), b"-7.5e3");
        assert_eq!(json.members().count(), 4);
        let [e, missing, n] = json.pick(["e", "missing", "n"]);
        assert!(e.unwrap().is_object() && missing.is_none() && n.unwrap().is_empty());
        assert!(json.at("/a/b").is_none() && json.items().next().is_none());
    }

    #[test]
    fn of_a_repeated_member_the_last_one_counts_however_its_name_is_written() {
        assert_eq!(
            read(r#"{"id": "one", "\u0069d": "two", "x": {"id": "no"}}"#).get("id").unwrap().text().unwrap(),
            "two"
        );
    }

    #[test]
    fn half_of_a_surrogate_pair_is_one_odd_character() {
        assert_eq!(string(r#""Good \ud83d morning""#), "Good \u{fffd} morning");
        assert_eq!(
            string(r#""\ud83d\ude00 \ude00\ud83d \uD83D\n\ud83dx\ud83d\u0041""#),
            "\u{1f600} \u{fffd}\u{fffd} \u{fffd}\n\u{fffd}x\u{fffd}A"
        );
        assert_eq!(string(r#""\"\\\/\b\f\n\r\t\u00e9""#), "\"\\/\u{8}\u{c}\n\r\t\u{e9}");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_odd_characters() {
        let json = Json::parse(b"{\"id\": \"a\xff\", \"b\": \"\\n\xc3\"}").unwrap();
        assert_eq!(json.get("id").unwrap().text().unwrap(), "a\u{fffd}");
        assert_eq!(json.get("b").unwrap().text().unwrap(), "\n\u{fffd}");
    }

    #[test]
    fn any_nesting_is_read() {
        let (open, close) = ("[{\"a\":".repeat(200_000), "}]".repeat(200_000));
        let text = format!("{{\"deep\": {open}1{close}, \"id\": \"x\"}}");
        assert_eq!(read(&text).get("id").unwrap().text().unwrap(), "x");
        assert!(read(&text).value().is_none(), "too large");
        let text = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let (mut value, mut levels) = (read(&text).value().unwrap(), 0);
        while let Value::Array(mut items) = value {
            (value, levels) = (items.remove(0), levels + 1);
        }
        assert_eq!((levels, value), (32, json!(format!("{}1{}", "[".repeat(168), "]".repeat(168)))));
        read(&text).exact().unwrap();
    }

    #[test]
    fn times_have_fractions_and_bounds() {
        for (text, seconds) in [
            ("1753", Some(1753)),
            ("1753.25", Some(1753)),
            ("1.753e3", Some(1753)),
            ("0", None),
            ("0.9", None),
            ("-3", None),
            ("1e999", None),
            ("1795230915000", None),
            ("\"1753\"", None),
            ("null", None),
            ("true", None),
        ] {
            assert_eq!(read(text).seconds(), seconds, "{text}");
        }
        assert_eq!(
            [read("7").count(), read("7.5").count(), read("-7").count(), read("1e999").count()],
            [Some(7), None, None, None]
        );
        assert_eq!([read("true").flag(), read("false").flag(), read("1").flag()], [Some(true), Some(false), None]);
    }

    #[test]
    fn what_says_nothing_is_empty() {
        for empty in
            ["null", "{}", "[ ]", r#""""#, r#"{"code": null, "message": null}"#, r#"{"code":"","param":[]}"#, "[null]"]
        {
            assert!(read(empty).is_empty(), "{empty}");
        }
        for full in ["0", "false", r#""a""#, r#"{"code": null, "message": "m"}"#, r#"{"a": 0}"#, "[[1]]"] {
            assert!(!read(full).is_empty(), "{full}");
        }
    }

    #[test]
    fn no_digit_of_a_tree_is_lost() {
        let text = r#"{"wei":1000000000000000000001,"id":18446744073709551617,"max":18446744073709551615,"min":-9223372036854775808,
            "tenth":0.1,"more":0.10000000000000001,"sum":0.30000000000000004,"huge":1e999,"tiny":1e-999,"big":1e300,"\ud83d":"\ud83d"}"#;
        let value = read(text).value().unwrap();
        assert_eq!(
            value,
            json!({"wei": "1000000000000000000001", "id": "18446744073709551617", "max": u64::MAX, "min": i64::MIN,
            "tenth": 0.1, "more": "0.10000000000000001", "sum": 0.1 + 0.2, "huge": "1e999", "tiny": "1e-999", "big": 1e300,
            "\u{fffd}": "\u{fffd}"})
        );
        let exact = read(text).exact().unwrap();
        for kept in [
            r#""wei":1000000000000000000001,"#,
            r#""id":18446744073709551617,"#,
            r#""more":0.10000000000000001,"#,
            r#""huge":"1e999","#,
        ] {
            assert!(exact.get().contains(kept), "{kept} is not in {exact}");
        }
        serde_json::from_str::<Value>(exact.get()).unwrap();
    }

    #[test]
    fn members_are_left_out_however_deep_they_are() {
        let text = r#"{"url": 1, "a": [{"\u0075rl": "secret", "b": {"url": {}}, "c": 1.50}]}"#;
        assert_eq!(read(text).exact_without("url").unwrap().get(), r#"{"a":[{"b":{},"c":1.50}]}"#);
        let deep = format!(r#"{}{{"url": "secret"}}{}"#, "[".repeat(40), "]".repeat(40));
        assert!(!read(&deep).exact_without("url").unwrap().get().contains("secret"));
    }

    /// Any JSON, and some that only looks like it.
    fn texts() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            Just("1e999".to_owned()),
            any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(|n| json!(n).to_string()),
            ".{0,8}".prop_map(|text| json!(text).to_string()),
            Just("\"\\ud83d\\\\\"".to_owned()),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::vec((".{0,3}", inner), 0..5).prop_map(|members| {
                    let members: Vec<_> =
                        members.iter().map(|(name, value)| format!("{} :{value}", json!(name))).collect();
                    format!("{{ {} }}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_is_read_as_a_usual_parser_reads_it(text in texts()) {
            let json = read(&text);
            if let Ok(expected) = serde_json::from_str::<Value>(&text) {
                let value = json.exact().unwrap();
                prop_assert_eq!(serde_json::from_str::<Value>(value.get()).unwrap(), expected);
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\u d8"[..])], 0..60)) {
            for json in [Some(Json::of(&bytes)), Json::parse(&bytes)].into_iter().flatten() {
                for value in json.items().chain(json.members().flat_map(|(name, value)| [name, value])) {
                    let _ = (value.text(), value.count(), value.seconds(), value.is_empty(), value.value(), value.exact());
                }
                let _ = (json.get("id"), json.text(), json.value(), json.exact());
            }
        }
    }
}
