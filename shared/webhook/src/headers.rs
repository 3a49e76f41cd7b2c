//! Headers that must be there exactly once.

use http::HeaderMap;

use crate::Refusal;

/// The values of the headers. An empty one is as good as none.
#[inline]
pub(crate) fn only<'a, const N: usize>(
    headers: &'a HeaderMap,
    names: [&'static str; N],
) -> Result<[&'a [u8]; N], Refusal> {
    let mut found: [Option<&'a [u8]>; N] = [None; N];
    for (name, value) in headers {
        let name = name.as_str();
        for (slot, wanted) in found.iter_mut().zip(names) {
            if name == wanted && slot.replace(value.as_bytes()).is_some() {
                return Err(Refusal::DuplicateHeader(wanted));
            }
        }
    }
    let values = found.map(Option::unwrap_or_default);
    match names.iter().zip(values).find(|(_, value)| value.is_empty()) {
        Some((name, _)) => Err(Refusal::MissingHeader(name)),
        None => Ok(values),
    }
}
