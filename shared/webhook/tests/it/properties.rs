//! Whatever comes: no panic, and accepted exactly when a live key signed exactly these bytes.

use hooks_webhook::{Event, Scheme, Secret, VerifyError, verify};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::model;

const NOW: u64 = 1_795_219_200;
const LIVE: [&[u8]; 2] = [b"the first of the live keys", b"the second of the live keys"];
const FOREIGN: &[u8] = b"a key that is not live at all";

fn live() -> Vec<Secret> {
    LIVE.iter().map(|key| Secret::parse(&model::secret(key)).unwrap()).collect()
}

fn headers(id: &str, timestamp: &str, signatures: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signatures)] {
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(headers)
}

/// Values in the place of one signature.
#[derive(Clone, Debug)]
enum Item {
    Right { key: Index },
    Foreign,
    OfOtherBytes { key: Index },
    Bent { key: Index, at: Index, with: char },
    Text(String),
}

impl Item {
    fn written(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        match self {
            Self::Right { key } => model::sign(LIVE[key.index(LIVE.len())], id, timestamp, body),
            Self::Foreign => model::sign(FOREIGN, id, timestamp, body),
            Self::OfOtherBytes { key } => {
                model::sign(LIVE[key.index(LIVE.len())], id, timestamp, &[body, b"\n"].concat())
            }
            Self::Bent { key, at, with } => {
                let mut signature: Vec<char> =
                    model::sign(LIVE[key.index(LIVE.len())], id, timestamp, body).chars().collect();
                let at = at.index(signature.len());
                signature[at] = *with;
                signature.into_iter().collect()
            }
            Self::Text(text) => text.clone(),
        }
    }
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        any::<Index>().prop_map(|key| Item::Right { key }),
        Just(Item::Foreign),
        any::<Index>().prop_map(|key| Item::OfOtherBytes { key }),
        (any::<Index>(), any::<Index>(), select(vec!['A', '=', ',', ' ', '-', 'v', '\t']))
            .prop_map(|(key, at, with)| Item::Bent { key, at, with }),
        "(v1|v2|v1a)?,?[A-Za-z0-9+/=,-]{0,50}".prop_map(Item::Text),
        "[\\x20-\\x7e]{0,60}".prop_map(Item::Text),
    ]
}

fn separator() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[ \t]{1,3}", 1 => Just(String::new()), 1 => Just(",".to_owned())]
}

fn timestamp() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (NOW - 302..=NOW + 302).prop_map(|seconds| seconds.to_string()),
        1 => ("0{1,40}", NOW - 302..=NOW + 302).prop_map(|(zeros, seconds)| format!("{zeros}{seconds}")),
        1 => any::<i128>().prop_map(|seconds| seconds.to_string()),
        1 => "[0-9]{0,60}",
        1 => "[-+ ._0-9eExX]{0,20}",
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_a_secret_signs_is_signed_as_the_scheme_says(id: String, timestamp: u64, body: Vec<u8>) {
        for (key, secret) in LIVE.into_iter().zip(live()) {
            prop_assert_eq!(secret.sign(&id, timestamp, &body), model::sign(key, &id, &timestamp.to_string(), &body));
        }
    }

    #[test]
    fn a_delivery_is_accepted_exactly_when_a_live_key_signed_it_in_time(
        id in "(wh_[0-9a-f]{32}|[\\x20-\\x7e]{0,300})",
        timestamp in timestamp(),
        items in prop::collection::vec((item(), separator()), 0..5),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..600), any::<String>().prop_map(String::into_bytes)],
    ) {
        let signatures: String = items
            .iter()
            .flat_map(|(item, separator)| [item.written(&id, &timestamp, &body), separator.clone()])
            .collect();
        let Some(headers) = headers(&id, &timestamp, &signatures) else { return Ok(()) };
        let accepted = verify(Scheme::StandardWebhooks, &live(), &headers, &body, NOW);
        prop_assert_eq!(accepted.is_ok(), model::accepts(&LIVE, &id, &timestamp, &signatures, &body, NOW));
        if let Ok(Ok(verified)) = accepted.map(hooks_webhook::Signed::parse) {
            prop_assert_eq!(verified.body().as_bytes(), &body[..]);
            prop_assert_eq!(verified.webhook_id(), id);
            prop_assert_eq!(verified.timestamp(), timestamp);
        }
    }

    #[test]
    fn any_other_byte_anywhere_makes_a_signature_worthless(
        body in prop::collection::vec(any::<u8>(), 1..600),
        at in any::<Index>(),
        bit in 0..8_u8,
    ) {
        let timestamp = NOW.to_string();
        let headers = headers("wh_1", &timestamp, &model::sign(LIVE[0], "wh_1", &timestamp, &body)).unwrap();
        prop_assert!(verify(Scheme::StandardWebhooks, &live(), &headers, &body, NOW).is_ok());
        let mut bent = body.clone();
        bent[at.index(body.len())] ^= 1 << bit;
        let refusal = verify(Scheme::StandardWebhooks, &live(), &headers, &bent, NOW).err();
        prop_assert_eq!(refusal, Some(VerifyError::NoMatchingSignature));
    }

    #[test]
    fn the_legacy_scheme_refuses_whatever_is_not_signed(
        timestamp in timestamp(),
        signature in prop_oneof!["[0-9a-fA-F]{64}", "\\PC{0,80}"],
        body in prop::collection::vec(any::<u8>(), 0..100),
        generic in any::<bool>(),
    ) {
        let names = if generic { ["x-timestamp", "x-signature-256"] } else { ["x-openai-timestamp", "x-openai-signature"] };
        let mut headers = HeaderMap::new();
        for (name, value) in names.into_iter().zip([&timestamp, &signature]) {
            let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { return Ok(()) };
            headers.insert(name, value);
        }
        let secrets = [Secret::parse_for(Scheme::TimestampedHex, "a text that is long enough").unwrap()];
        prop_assert!(verify(Scheme::TimestampedHex, &secrets, &headers, &body, NOW).is_err());
    }

    #[test]
    fn any_text_is_a_secret_or_a_fault_that_does_not_show_it(text in "(whsec_)?\\PC{8,60}") {
        for scheme in [Scheme::StandardWebhooks, Scheme::TimestampedHex] {
            let shown = match Secret::parse_for(scheme, &text) {
                Ok(secret) => format!("{secret:?}"),
                Err(fault) => format!("{fault} {fault:?}"),
            };
            prop_assert!(!shown.contains(&text));
        }
    }

    #[test]
    fn any_text_is_an_event_or_malformed(text in "\\PC{0,100}") {
        drop(Event::parse(&text));
    }

    #[test]
    fn whatever_the_check_lets_through_can_be_read(
        event_type in "[a-z_]{1,10}(\\.[a-z_]{1,10}){0,2}",
        data in prop_oneof!["null", "-?[1-9][0-9]{0,8}", "\"[a-z]{0,9}\"", "\\{\"id\":[1-9][0-9]{0,2}\\}", "\\[\\{\"call_id\":\"[a-z]\"\\}\\]"],
        created_at in prop_oneof!["null", "[1-9][0-9]{0,25}", "\"soon\"", "1\\.5"],
    ) {
        let body = format!(r#"{{"id":"evt_1","type":"{event_type}","created_at":{created_at},"data":{data}}}"#);
        let event = Event::parse(&body).unwrap();
        prop_assert_eq!(event.raw().get(), body.as_str());
        prop_assert!(!event.idempotency_key().as_str().is_empty());
    }
}
