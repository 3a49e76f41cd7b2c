//! Where a policy is stored.

use std::fmt;
use std::str::FromStr;

/// Maximum size of a policy, in bytes.
pub const MAX_POLICY: usize = 256 * 1024;

/// Maximum size of a policy in a parameter of Systems Manager's standard tier, in bytes.
pub const MAX_PARAMETER: usize = 4096;

/// The parameter's value until a policy is stored.
pub const UNSET: &str = "unset";

/// The location of a policy: `ssm:/NAME` or `s3://BUCKET/KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The name of a parameter of Systems Manager.
    Parameter(String),
    /// An object of S3.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("ssm:").filter(|name| name.len() > 1 && name.starts_with('/')) {
            return Ok(Self::Parameter(name.to_owned()));
        }
        match text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Self::Object { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err("is neither ssm:/NAME nor s3://BUCKET/KEY".to_owned()),
        }
    }
}

/// For people.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "the parameter {name} of Systems Manager"),
            Self::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_parameter_or_an_object() {
        assert_eq!("ssm:/a/b".parse(), Ok(Location::Parameter("/a/b".to_owned())));
        let object = Location::Object { bucket: "b".to_owned(), key: "calls/policy.json".to_owned() };
        assert_eq!("s3://b/calls/policy.json".parse(), Ok(object));
        for wrong in ["", "ssm:", "ssm:/", "ssm:a", "s3://", "s3://b", "s3://b/", "s3:///k", "policy.json"] {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }
}
