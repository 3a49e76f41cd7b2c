//! The policy that the stack has stored.

use hooks_aws::artifacts::{Artifacts, GetResult};
use hooks_aws::parameters::Parameters;
use hooks_policy::{Location, MAX_POLICY, UNSET};

use crate::context::Context;
use crate::error::{CliError, Result};

/// Permissions of the commands that read or write the policy.
pub(super) const PERMISSIONS: &str = "Your AWS identity needs ssm:GetParameter and ssm:PutParameter on the stack's \
     parameter call-policy, or s3:GetObject, s3:ListBucket and s3:PutObject on the object of CallPolicyS3Uri.";

/// Where the stack stores its policy, and the policy's text; `None` when there is none.
pub(crate) struct Stored {
    pub(crate) location: Location,
    pub(crate) policy: Option<Vec<u8>>,
}

/// Where the stack stores its policy.
pub(super) async fn location(context: &Context) -> Result<Location> {
    let name = &context.stack().await?.name;
    match context.parameter("CallPolicyS3Uri").await? {
        Some(uri) if !uri.is_empty() => uri
            .parse()
            .map_err(|error: String| CliError::failed(format!("the stack's parameter CallPolicyS3Uri {error}"))),
        _ => Ok(Location::Parameter(format!("/{name}/call-policy"))),
    }
}

/// Reads the stored policy.
pub(crate) async fn read(context: &Context) -> Result<Stored> {
    let (location, aws) = (location(context).await?, context.aws().await?);
    let policy = match &location {
        Location::Parameter(name) => {
            let parameter = Parameters::new(aws).get(name).await;
            let parameter = parameter.map_err(|error| CliError::service(error.to_string()).hint(PERMISSIONS))?;
            parameter
                .map(|parameter| parameter.value.into_bytes())
                .filter(|value| value.trim_ascii() != UNSET.as_bytes())
        }
        Location::Object { bucket, key } => {
            let found = Artifacts::new(aws, bucket).get(key, None, MAX_POLICY).await;
            match found.map_err(|error| CliError::service(error.to_string()).hint(PERMISSIONS))? {
                GetResult::Object { bytes, .. } => Some(bytes.to_vec()),
                GetResult::Absent | GetResult::Unchanged => None,
                GetResult::TooLarge => {
                    return Err(CliError::failed(format!("{location} has more than {MAX_POLICY} bytes"))
                        .hint("The function does not use it. Store a shorter policy."));
                }
            }
        }
    };
    Ok(Stored { location, policy })
}
