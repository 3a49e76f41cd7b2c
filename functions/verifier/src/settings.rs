//! The function's environment variables.

use hooks_aws::{Config, Environment, Faults};
use hooks_webhook::{Category, Scheme};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Where signing secrets are: a JSON map from endpoint to a secret's id, or to `{"id": …, "scheme": …}`.
const SIGNING_SECRETS: &str = "SIGNING_SECRETS";

/// Where events go: a JSON map from category to a queue's URL. Every category needs one.
const QUEUE_URLS: &str = "QUEUE_URLS";

/// What the verifier needs to know.
pub(crate) struct Settings {
    pub(crate) aws: Config,
    /// By endpoint.
    pub(crate) secrets: HashMap<String, SecretSetting>,
    pub(crate) queues: HashMap<Category, String>,
}

/// The signing secret of an endpoint.
#[derive(Debug, PartialEq)]
pub(crate) struct SecretSetting {
    pub(crate) id: String,
    pub(crate) scheme: Scheme,
}

impl Settings {
    pub(crate) fn from_env(mut environment: Environment) -> Result<Self, Faults> {
        let aws = Config::from_env(&mut environment);
        let secrets = read_map(&mut environment, SIGNING_SECRETS, |endpoint, value| {
            Ok((endpoint.to_owned(), secret_setting(endpoint, value)?))
        });
        let queues = read_map(&mut environment, QUEUE_URLS, |name, value| {
            let category = name.parse().map_err(|_| format!("names `{name}`, which is no category"))?;
            Ok((category, queue_url(name, value)?))
        });
        if let Some(queues) = &queues {
            for category in Category::ALL.into_iter().filter(|category| !queues.contains_key(category)) {
                environment.fault(QUEUE_URLS, &format!("has no queue for the category {category}"));
            }
        }
        environment.finish(|| Some(Self { aws: aws?, secrets: secrets?, queues: queues? }))
    }
}

/// Reads a JSON map; every entry that `read` refuses is a fault of its own.
fn read_map<K: Eq + std::hash::Hash, V>(
    environment: &mut Environment,
    name: &str,
    read: impl Fn(&str, &Value) -> Result<(K, V), String>,
) -> Option<HashMap<K, V>> {
    let map = environment.parsed(name, |text| match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(map) if map.is_empty() => Err("is an empty map".to_owned()),
        Ok(map) => Ok(map),
        Err(_) => Err("is no JSON map".to_owned()),
    })?;
    let mut entries = HashMap::new();
    for (key, value) in &map {
        match read(key, value) {
            Ok((key, value)) => drop(entries.insert(key, value)),
            Err(problem) => environment.fault(name, &problem),
        }
    }
    Some(entries)
}

fn secret_setting(endpoint: &str, value: &Value) -> Result<SecretSetting, String> {
    if endpoint.is_empty() || !endpoint.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!("names the endpoint `{endpoint}`, which is not made of letters, digits and hyphens"));
    }
    let (id, scheme) = match value {
        Value::Object(setting) => (setting.get("id").unwrap_or(&Value::Null), setting.get("scheme")),
        id => (id, None),
    };
    let id = id.as_str().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| format!("has no secret id for the endpoint `{endpoint}`"))?.to_owned();
    let scheme = match scheme {
        None => Ok(Scheme::default()),
        Some(name) => name.as_str().unwrap_or_default().parse::<Scheme>(),
    };
    let scheme = scheme.map_err(|error| format!("has a fault at the endpoint `{endpoint}`: {error}"))?;
    Ok(SecretSetting { id, scheme })
}

fn queue_url(category: &str, value: &Value) -> Result<String, String> {
    let url = value.as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    url.map(str::to_owned).ok_or_else(|| format!("has no URL for the category {category}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(secrets: &str, queues: &str) -> Result<Settings, Faults> {
        Settings::from_env(Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            (SIGNING_SECRETS, secrets),
            (QUEUE_URLS, queues),
        ]))
    }

    fn all_queues() -> String {
        let urls: Map<String, Value> =
            Category::ALL.map(|category| (category.to_string(), "https://sqs/1".into())).into_iter().collect();
        Value::from(urls).to_string()
    }

    fn faults(secrets: &str, queues: &str) -> String {
        read(secrets, queues).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn an_endpoint_has_a_secret_and_may_have_a_scheme() {
        let secrets = r#"{"project":"arn:1","relay":{"id":"arn:2","scheme":"timestamped-hex"},"plain":{"id":"arn:3"}}"#;
        let settings =
            read(secrets, &all_queues()).map_err(|faults| faults.to_string()).unwrap_or_else(|e| panic!("{e}"));
        let setting = |id: &str, scheme| SecretSetting { id: id.to_owned(), scheme };
        assert_eq!(settings.secrets["project"], setting("arn:1", Scheme::StandardWebhooks));
        assert_eq!(settings.secrets["relay"], setting("arn:2", Scheme::TimestampedHex));
        assert_eq!(settings.secrets["plain"], setting("arn:3", Scheme::StandardWebhooks));
        assert_eq!(settings.queues[&Category::FineTuning], "https://sqs/1");
    }

    #[test]
    fn every_fault_of_every_variable_is_reported_together() {
        let missing = Settings::from_env(Environment::of([])).map(drop).unwrap_err().to_string();
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", SIGNING_SECRETS, QUEUE_URLS] {
            assert!(missing.contains(&format!("{name} is not set")), "{missing}");
        }
        let unusable = faults(
            r#"{"a/b":"arn:1","c":7,"d":{"id":"arn:2","scheme":"md5"}}"#,
            r#"{"batch":"x","batsch":"http://q"}"#,
        );
        for problem in [
            "SIGNING_SECRETS names the endpoint `a/b`",
            "SIGNING_SECRETS has no secret id for the endpoint `c`",
            "SIGNING_SECRETS has a fault at the endpoint `d`: `md5` is no signature scheme",
            "QUEUE_URLS has no URL for the category batch",
            "QUEUE_URLS names `batsch`, which is no category",
            "QUEUE_URLS has no queue for the category archive",
        ] {
            assert!(unusable.contains(problem), "{problem}: {unusable}");
        }
    }

    #[test]
    fn what_is_no_map_is_a_fault() {
        assert_eq!(faults("[]", &all_queues()), "SIGNING_SECRETS is no JSON map");
        assert_eq!(faults("{}", &all_queues()), "SIGNING_SECRETS is an empty map");
    }
}
