//! Environment variables of the function.

use hooks_aws::{Config, Environment, EnvironmentError};
use hooks_webhook::{Category, Scheme};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Signing secrets of the stack's own endpoints: a JSON map from endpoint to secret id.
const SIGNING_SECRETS: &str = "SIGNING_SECRETS";

/// Further endpoints: a JSON map from endpoint to a secret's ARN, or to `{"secret": ARN, "scheme": SCHEME}`. May be
/// absent.
const ADDITIONAL_ENDPOINTS: &str = "ADDITIONAL_ENDPOINTS";

/// Queues: a JSON map from category to queue URL. Every category needs one.
const QUEUE_URLS: &str = "QUEUE_URLS";

/// Maximum length of an endpoint's name.
const MAX_NAME: usize = 64;

/// Configuration of the verifier.
pub(crate) struct Settings {
    pub(crate) aws: Config,
    /// By name.
    pub(crate) endpoints: HashMap<String, Endpoint>,
    pub(crate) queues: HashMap<Category, String>,
}

/// An endpoint's signing secret and scheme.
#[derive(Debug, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) secret_id: String,
    pub(crate) scheme: Scheme,
}

impl Settings {
    pub(crate) fn from_env(mut environment: Environment) -> Result<Self, EnvironmentError> {
        let aws = Config::from_env(&mut environment);
        let endpoints = read_map(&mut environment, SIGNING_SECRETS, |name, value| {
            let secret_id = value.as_str().filter(|id| !id.is_empty());
            let secret_id = secret_id.ok_or_else(|| format!("has no secret id for the endpoint `{name}`"))?.to_owned();
            Ok((endpoint_name(name)?, Endpoint { secret_id, scheme: Scheme::default() }))
        });
        let additional = environment.optional(ADDITIONAL_ENDPOINTS).unwrap_or_default();
        let additional = match additional.split_whitespace().collect::<String>().as_str() {
            "" | "{}" => Some(HashMap::new()),
            _ => read_map(&mut environment, ADDITIONAL_ENDPOINTS, |name, value| {
                if endpoints.as_ref().is_some_and(|builtin| builtin.contains_key(name)) {
                    return Err(format!("repeats the endpoint `{name}`, which the stack has already"));
                }
                Ok((endpoint_name(name)?, additional_endpoint(name, value)?))
            }),
        };
        let queues = read_map(&mut environment, QUEUE_URLS, |name, value| {
            let category = name.parse().map_err(|_| format!("has `{name}`, which is not a category"))?;
            Ok((category, queue_url(name, value)?))
        });
        if let Some(queues) = &queues {
            for category in Category::ALL.into_iter().filter(|category| !queues.contains_key(category)) {
                environment.fault(QUEUE_URLS, &format!("has no queue for the category {category}"));
            }
        }
        environment.finish(|| {
            let endpoints = endpoints?.into_iter().chain(additional?).collect();
            Some(Self { aws: aws?, endpoints, queues: queues? })
        })
    }
}

/// Reads a JSON map; every entry that `read` rejects is reported on its own.
fn read_map<K: Eq + std::hash::Hash, V>(
    environment: &mut Environment,
    variable: &str,
    read: impl Fn(&str, &Value) -> Result<(K, V), String>,
) -> Option<HashMap<K, V>> {
    let map = environment.parsed(variable, |text| match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(map) if map.is_empty() => Err("is an empty map".to_owned()),
        Ok(map) => Ok(map),
        Err(_) => Err("is not a JSON map".to_owned()),
    })?;
    let mut entries = HashMap::new();
    for (key, value) in &map {
        match read(key, value) {
            Ok((key, value)) => drop(entries.insert(key, value)),
            Err(problem) => environment.fault(variable, &problem),
        }
    }
    Some(entries)
}

fn endpoint_name(name: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(name.to_owned());
    }
    Err(format!("names the endpoint `{name}`; a name has 1 to {MAX_NAME} lower-case letters, digits and hyphens"))
}

fn additional_endpoint(name: &str, value: &Value) -> Result<Endpoint, String> {
    let (secret, scheme) = match value {
        Value::Object(endpoint) => {
            if let Some(other) = endpoint.keys().find(|key| !["secret", "scheme"].contains(&key.as_str())) {
                return Err(format!("has `{other}` at the endpoint `{name}`; only `secret` and `scheme` are allowed"));
            }
            (endpoint.get("secret").unwrap_or(&Value::Null), endpoint.get("scheme"))
        }
        secret => (secret, None),
    };
    // The value is not shown: it may be the secret itself, pasted by mistake.
    let secret_id = secret.as_str().filter(|secret| secret.starts_with("arn:"));
    let secret_id = secret_id.ok_or_else(|| format!("has no secret ARN (arn:...) for the endpoint `{name}`"))?;
    let scheme = scheme.map_or(Ok(Scheme::default()), |scheme| scheme.as_str().unwrap_or_default().parse());
    let scheme = scheme.map_err(|error| format!("has a wrong scheme at the endpoint `{name}`: {error}"))?;
    Ok(Endpoint { secret_id: secret_id.to_owned(), scheme })
}

fn queue_url(category: &str, value: &Value) -> Result<String, String> {
    let url = value.as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    url.map(str::to_owned).ok_or_else(|| format!("has no URL for the category {category}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(secrets: &str, additional: &str, queues: &str) -> Result<Settings, String> {
        let settings = Settings::from_env(Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            (SIGNING_SECRETS, secrets),
            (ADDITIONAL_ENDPOINTS, additional),
            (QUEUE_URLS, queues),
        ]));
        settings.map_err(|faults| faults.to_string())
    }

    fn all_queues() -> String {
        let urls: Map<String, Value> =
            Category::ALL.map(|category| (category.to_string(), "https://sqs/1".into())).into_iter().collect();
        Value::from(urls).to_string()
    }

    fn faults(secrets: &str, additional: &str, queues: &str) -> String {
        read(secrets, additional, queues).map(drop).unwrap_err()
    }

    #[test]
    fn an_endpoint_has_a_secret_and_may_have_a_scheme() {
        let additional = r#"{"team-2":"arn:2","relay":{"secret":"arn:3","scheme":"timestamped-hex"},
            "spelled-out":{"secret":"arn:4","scheme":"standard-webhooks"},"plain":{"secret":"arn:5"}}"#;
        let settings = read(r#"{"project":"a-name"}"#, additional, &all_queues()).unwrap_or_else(|e| panic!("{e}"));
        let endpoint = |id: &str, scheme| Endpoint { secret_id: id.to_owned(), scheme };
        assert_eq!(settings.endpoints.len(), 5);
        assert_eq!(settings.endpoints["project"], endpoint("a-name", Scheme::StandardWebhooks));
        assert_eq!(settings.endpoints["team-2"], endpoint("arn:2", Scheme::StandardWebhooks));
        assert_eq!(settings.endpoints["relay"], endpoint("arn:3", Scheme::TimestampedHex));
        assert_eq!(settings.endpoints["spelled-out"], endpoint("arn:4", Scheme::StandardWebhooks));
        assert_eq!(settings.endpoints["plain"], endpoint("arn:5", Scheme::StandardWebhooks));
        assert_eq!(settings.queues[&Category::FineTuning], "https://sqs/1");
    }

    #[test]
    fn a_stack_needs_no_additional_endpoints() {
        for none in ["", "{}", "{ }", " { \n} "] {
            assert_eq!(read(r#"{"project":"1"}"#, none, &all_queues()).map(|settings| settings.endpoints.len()), Ok(1));
        }
    }

    #[test]
    fn every_fault_of_every_variable_is_reported_together() {
        let missing = Settings::from_env(Environment::of([])).map(drop).unwrap_err().to_string();
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", SIGNING_SECRETS, QUEUE_URLS] {
            assert!(missing.contains(&format!("{name} is not set")), "{missing}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        let unusable = faults(
            r#"{"a/b":"arn:1","c":7,"project":"arn:1"}"#,
            &format!(
                r#"{{"project":"arn:1","A":"arn:2","{long}":"arn:2","d":{{"secret":"arn:2","scheme":"md5"}},"e":"whsec_x",
                "f":{{"scheme":"timestamped-hex"}},"g":{{"secret":"arn:2","shceme":"timestamped-hex"}},"h":["arn:2"]}}"#
            ),
            r#"{"batch":"x","batsch":"http://q"}"#,
        );
        for problem in [
            "SIGNING_SECRETS names the endpoint `a/b`",
            "SIGNING_SECRETS has no secret id for the endpoint `c`",
            "ADDITIONAL_ENDPOINTS repeats the endpoint `project`",
            "ADDITIONAL_ENDPOINTS names the endpoint `A`",
            &format!("ADDITIONAL_ENDPOINTS names the endpoint `{long}`"),
            "ADDITIONAL_ENDPOINTS has a wrong scheme at the endpoint `d`: `md5` is not a signature scheme",
            "ADDITIONAL_ENDPOINTS has no secret ARN (arn:...) for the endpoint `e`",
            "ADDITIONAL_ENDPOINTS has no secret ARN (arn:...) for the endpoint `f`",
            "ADDITIONAL_ENDPOINTS has `shceme` at the endpoint `g`",
            "ADDITIONAL_ENDPOINTS has no secret ARN (arn:...) for the endpoint `h`",
            "QUEUE_URLS has no URL for the category batch",
            "QUEUE_URLS has `batsch`, which is not a category",
            "QUEUE_URLS has no queue for the category archive",
        ] {
            assert!(unusable.contains(problem), "{problem}: {unusable}");
        }
        assert!(!unusable.contains("whsec_x"), "{unusable}");
    }

    #[test]
    fn a_value_that_is_not_a_map_is_a_fault() {
        let secrets = r#"{"project":"1"}"#;
        assert_eq!(faults("[]", "", &all_queues()), "SIGNING_SECRETS is not a JSON map");
        assert_eq!(faults("{}", "", &all_queues()), "SIGNING_SECRETS is an empty map");
        assert_eq!(faults(secrets, "relay", &all_queues()), "ADDITIONAL_ENDPOINTS is not a JSON map");
    }
}
