//! Data of callers and users in an event's body, masked.

use crate::Json;

/// Members that are masked: SIP headers, the URL that an agent's environment connects to, which may hold credentials, and
/// the identifier of one of our users. In an event of any type, also of one that nobody has seen yet.
pub const PERSONAL: [&str; 3] = ["sip_headers", "remote_url", "safety_identifier"];

/// Levels of nesting in which the members are looked for: `data`, and an object in it, and one more.
const LEVELS: usize = 4;

/// What stands for a masked value.
const MASK: &str = "\"***\"";

/// The body with these members masked; `None` when it has none of them. Everything else stays byte for byte.
///
/// Of SIP headers the names stay, of anything else nothing.
#[must_use]
pub fn masked(body: &str, members: &[&str]) -> Option<String> {
    let mut spans = Vec::new();
    find(Json::of(body.as_bytes()), members, LEVELS, &mut spans);
    if spans.is_empty() {
        return None;
    }
    let (mut masked, mut done) = (String::with_capacity(body.len()), 0);
    for value in spans {
        // The value is a part of the body.
        let begin = value.as_ptr().addr() - body.as_ptr().addr();
        masked.push_str(body.get(done..begin)?);
        masked.push_str(MASK);
        done = begin + value.len();
    }
    masked.push_str(body.get(done..)?);
    Some(masked)
}

/// The values to mask, in the order of the text.
fn find<'a>(json: Json<'a>, members: &[&str], levels: usize, spans: &mut Vec<&'a [u8]>) {
    for (name, value) in json.members() {
        match name.string() {
            Some(name) if members.contains(&name.as_ref()) => mask(value, spans),
            _ if levels > 1 => find(value, members, levels - 1, spans),
            _ => {}
        }
    }
}

/// Masks a value: the members of the objects in a list, but for their names, or else the whole.
fn mask<'a>(value: Json<'a>, spans: &mut Vec<&'a [u8]>) {
    if !value.is_list() {
        return spans.extend((value.bytes() != b"null").then(|| value.bytes()));
    }
    for item in value.items() {
        if !item.is_object() {
            spans.push(item.bytes());
        }
        for (name, value) in item.members() {
            if name.string().is_none_or(|name| name != "name") {
                spans.push(value.bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_caller_are_masked_and_the_rest_stays() {
        let body = r#"{"id": "evt_1", "type":"realtime.call.incoming", "data":{"call_id":"rtc_1", "sip_headers":
            [{"name":"From","value":"<sip:+4930123@x>"},{"value":7,"name":"X","more":["+4930123"]},"+4930123"]}, "n":1e999}"#;
        let expected = r#"{"id": "evt_1", "type":"realtime.call.incoming", "data":{"call_id":"rtc_1", "sip_headers":
            [{"name":"From","value":"***"},{"value":"***","name":"X","more":"***"},"***"]}, "n":1e999}"#;
        assert_eq!(masked(body, &PERSONAL).as_deref(), Some(expected));
    }

    #[test]
    fn every_kind_of_personal_data_is_found_however_its_name_is_written() {
        for (data, expected) in [
            (r#"{"connect":{"remote_url":"https://key@host"}}"#, r#"{"connect":{"remote_url":"***"}}"#),
            (r#"{"safety_identifier":"user-1"}"#, r#"{"safety_identifier":"***"}"#),
            (
                r#"{"\u0073ip_headers":"+49","sip_headers":{"a":1}}"#,
                r#"{"\u0073ip_headers":"***","sip_headers":"***"}"#,
            ),
        ] {
            let body = |data: &str| format!(r#"{{"type":"brand.new","data":{data}}}"#);
            assert_eq!(masked(&body(data), &PERSONAL), Some(body(expected)));
        }
    }

    #[test]
    fn a_body_without_personal_data_is_left_alone() {
        let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
        for body in [r#"{"data":{"id":"batch_1"}}"#, r#"{"data":{"sip_headers":[]}}"#, "", "[", &deep] {
            assert_eq!(masked(body, &PERSONAL), None);
        }
    }
}
