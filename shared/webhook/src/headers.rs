//! Headers that must be there exactly once.

use http::{HeaderMap, HeaderName};

use crate::Refusal;

/// The values of the headers. An empty one is as good as none.
#[inline]
pub(crate) fn only<'a, const N: usize>(
    headers: &'a HeaderMap,
    names: &'static [HeaderName; N],
) -> Result<[&'a [u8]; N], Refusal> {
    if headers.len() != headers.keys_len() {
        refuse_duplicates(headers, names)?;
    }
    // One pass takes half as long as looking the names up, each of which has to be hashed.
    let mut values: [&'a [u8]; N] = [b""; N];
    let mut missing = N;
    for (name, value) in headers {
        for (slot, wanted) in values.iter_mut().zip(names) {
            if name == wanted {
                *slot = value.as_bytes();
                missing -= 1;
            }
        }
        if missing == 0 {
            break;
        }
    }
    match values.iter().position(|value| value.is_empty()) {
        Some(place) => Err(Refusal::MissingHeader(names[place].as_str())),
        None => Ok(values),
    }
}

#[cold]
fn refuse_duplicates(headers: &HeaderMap, names: &'static [HeaderName]) -> Result<(), Refusal> {
    match names.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        Some(name) => Err(Refusal::DuplicateHeader(name.as_str())),
        None => Ok(()),
    }
}
