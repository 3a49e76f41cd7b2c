//! `calls set-policy`: check a policy, then store it.

use std::path::PathBuf;

use clap::Args;
use hooks_aws::artifacts::{Artifacts, JSON};
use hooks_aws::parameters::Parameters;
use hooks_operate::call_policy::POLICY_PERMISSIONS;
use hooks_policy::{Location, MAX_PARAMETER, MAX_POLICY, Policy};
use serde_json::json;

use super::check_policy::{refused, warnings};
use super::stored::location;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::input;

/// Check a policy for phone calls, and store it where the stack reads it
#[derive(Args, Debug)]
pub(crate) struct SetPolicyArgs {
    /// The policy, or - for stdin
    file: PathBuf,
}

pub(super) async fn run(args: &SetPolicyArgs, context: &Context) -> Result {
    let json = input::bytes(&args.file, MAX_POLICY as u64)?;
    let policy = match Policy::parse(&json) {
        Ok(policy) => policy,
        Err(errors) => return refused(&errors, context),
    };
    let location = location(context).await?;
    let failed = |error: String| CliError::service(error).hint(POLICY_PERMISSIONS);
    let aws = context.aws().await?;
    let version = match &location {
        Location::Parameter(_) if json.len() > MAX_PARAMETER => {
            return Err(CliError::usage(format!(
                "the policy has {} bytes, and a parameter of Systems Manager holds {MAX_PARAMETER}",
                json.len()
            ))
            .hint("Shorten it, or deploy with CallPolicyS3Uri=s3://BUCKET/KEY: then it may have 256 KiB."));
        }
        Location::Parameter(name) => {
            let text = String::from_utf8(json).map_err(|_| CliError::usage("the policy is not UTF-8"))?;
            let stored = Parameters::new(aws).put(name, &text, "The policy for phone calls").await;
            Some(stored.map_err(|error| failed(error.to_string()))?)
        }
        Location::Object { bucket, key } => {
            let stored = Artifacts::new(aws, bucket).put_at(key, JSON, json).await;
            stored.map_err(|error| failed(error.to_string()))?;
            None
        }
    };
    let document = json!({ "stored": location.to_string(), "version": version, "warnings": policy.warnings });
    context.out.result(&document, || {
        let version = version.map_or_else(String::new, |version| format!(", version {version}"));
        let warnings = warnings(&policy);
        format!("{warnings}The policy is stored in {location}{version}. It is used within half a minute.")
    })
}
