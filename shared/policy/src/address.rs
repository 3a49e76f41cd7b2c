//! The address in a `From` or `To` header, which the caller writes.
//!
//! One caller must not look like two: whatever a phone system may take for the blocked number has to be read as that
//! number, or be refused as unreadable. So escapes are read, visual separators are dropped, and an address with two
//! possible readings has none.

/// Why an address cannot be read. The text never contains the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

/// The user part of the address, usually a phone number: `+4930123` in
/// `"Anna" <sip:%2B49-30-123@example.com;user=phone>;tag=1`.
pub(crate) fn user(value: &str) -> Result<String, Unreadable> {
    let user = unescaped(escaped_user(value)?)?;
    // An escaped semicolon would otherwise hide a number behind a parameter.
    let user = user.split([';', '?']).next().unwrap_or_default().trim();
    if user.is_empty() {
        return Err(Unreadable("the address has no user part"));
    }
    if user.chars().any(|c| c == char::REPLACEMENT_CHARACTER || !hooks_text::is_shown(c)) {
        return Err(Unreadable("the user part has characters that cannot be read"));
    }
    if user.chars().any(|c| c.is_numeric() && !c.is_ascii()) {
        return Err(Unreadable("the user part has digits that are not ASCII"));
    }
    Ok(normal(user))
}

/// The user part without visual separators (RFC 3966, section 5.1.1) if it is a number, or else as it is.
pub(crate) fn normal(user: &str) -> String {
    let bare: String = user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '*' | '#'))
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#'));
    if is_number { bare } else { user.to_owned() }
}

/// The user part as it is written.
pub(crate) fn escaped_user(value: &str) -> Result<&str, Unreadable> {
    let uri = uri(value.trim())?;
    let (scheme, rest) = uri.trim().split_once(':').ok_or(Unreadable("it has no address"))?;
    let user = match scheme.trim().to_ascii_lowercase().as_str() {
        "sip" | "sips" => match rest.split('@').collect::<Vec<_>>()[..] {
            [user, _host] => user,
            [_] => return Err(Unreadable("the address has no user part")),
            _ => return Err(Unreadable("the address has more than one @")),
        },
        "tel" if rest.contains('@') => return Err(Unreadable("the telephone number has an @")),
        "tel" => rest,
        _ => return Err(Unreadable("the address is not a sip, sips or tel URI")),
    };
    Ok(user.split([';', ':', '?']).next().unwrap_or_default())
}

/// The URI in the value: between angle brackets, or the whole value up to its parameters.
fn uri(value: &str) -> Result<&str, Unreadable> {
    let value = after_display_name(value)?;
    let Some((before, rest)) = value.split_once('<') else { return Ok(value) };
    if before.contains('"') {
        return Err(Unreadable("the display name has a quote in the middle"));
    }
    let (uri, after) = rest.split_once('>').ok_or(Unreadable("an angle bracket is not closed"))?;
    if uri.contains('<') || !(after.trim().is_empty() || after.trim_start().starts_with(';')) {
        return Err(Unreadable("there is more than one address"));
    }
    Ok(uri)
}

/// The rest after a quoted display name, which can contain anything, even a URI in angle brackets.
fn after_display_name(value: &str) -> Result<&str, Unreadable> {
    let Some(quoted) = value.strip_prefix('"') else { return Ok(value) };
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(&quoted[at + 1..]),
            _ => {}
        }
    }
    Err(Unreadable("the quote of the display name is not closed"))
}

/// The text with its escapes read once. What still has an escape afterwards is read differently by different systems.
pub(crate) fn unescaped(text: &str) -> Result<String, Unreadable> {
    let wrong = Unreadable("the user part has a malformed escape");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits =
            part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())).ok_or(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong)?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).map_err(|_| Unreadable("the user part is not UTF-8"))?;
    if text.contains('%') {
        return Err(Unreadable("the user part is escaped twice"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_part_is_found_in_every_form_of_the_header() {
        for value in [
            "sip:+4930123@example.com",
            "<sip:+4930123@example.com>",
            "Anna <SIP:+4930123@example.com;transport=tls>;tag=88",
            "\"Anna \\\" <sip:+1999@evil.example>\" <sips:+4930123:secret@example.com>",
            " <tel:+4930123;phone-context=example.com> ",
            "<tel:+49-30-(123)>",
            "<tel:+49.30.123>",
            "sip:+4930123;isub=1@example.com;tag=1",
            "<sip:%2B4930123@example.com>",
            "<sip:%2b%34930%3123%3Bisub=1@example.com>",
            "<sip:+49%2D30%20123@example.com>",
            "Jos\u{fffd} <sip:+4930123@example.com>",
        ] {
            assert_eq!(user(value).as_deref(), Ok("+4930123"), "{value}");
        }
        for (value, name) in [("<sip:J%C3%B6rg@x>", "J\u{f6}rg"), ("sip:a.b-c@x", "a.b-c"), ("sip:%40home@x", "@home")]
        {
            assert_eq!(user(value).as_deref(), Ok(name));
        }
    }

    #[test]
    fn an_address_with_no_reading_or_with_two_is_unreadable() {
        for value in [
            "",
            "Anna",
            "<sip:example.com>",
            "\"<sip:+1@x>",
            "<sip:+1@x",
            "mailto:a@b",
            "sip:@x",
            "<tel:>",
            "<sip:+1@x>, <sip:+2@x>",
            "<sip:+1@x> <sip:+2@x>",
            "<sip:+1@x@y>",
            "<sip:+1%2@x>",
            "<sip:100%@x>",
            "<sip:%252B49@x>",
            "<sip:%FFx@x>",
            "<sip:+1\u{200b}2@x>",
            "<sip:\u{ff11}2@x>",
            "<sip:+1\u{fffd}@x>",
            "<tel:+1@x>",
            "Anna \"B\" C <sip:+1@x>",
        ] {
            assert!(user(value).is_err(), "{value}");
        }
    }
}
