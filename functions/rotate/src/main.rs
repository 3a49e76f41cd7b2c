//! Rotates the signing secret of the project's webhook endpoint: Secrets Manager's four steps.
//!
//! | step | what it does |
//! |---|---|
//! | `createSecret` | has OpenAI make a new secret, keeping the old one for 24 hours, and stores it as `AWSPENDING` |
//! | `setSecret` | nothing: OpenAI signs with a new secret as soon as it has given it out |
//! | `testSecret` | delivers an event signed with the new secret through the real URL, until it is answered with 200 |
//! | `finishSecret` | moves `AWSCURRENT` to the new secret; the old one becomes `AWSPREVIOUS` |
//!
//! # No delivery is refused
//!
//! Secrets Manager may repeat a step, and the process may die anywhere. The argument rests on two facts:
//!
//! - OpenAI signs every delivery with its newest secret and, for 24 hours, with the one before. It keeps one old secret;
//!   an older one ends when the next is made.
//! - The verifier accepts `AWSCURRENT`, `AWSPENDING` while it exists, and `AWSPREVIOUS` for 24 hours after `AWSCURRENT`
//!   was made. It reads them again when a signature matches none, at most every 30 seconds.
//!
//! So a delivery is accepted while one of the two secrets that sign it is stored, and for good once the newest is. With
//! *o* for the old secret and *n* for the new ones:
//!
//! | cut off after | OpenAI signs with | the verifier accepts | the next attempt |
//! |---|---|---|---|
//! | the rotation began | o | o | begins |
//! | the lease was taken, the key read | o | o | waits until the lease is over, then begins |
//! | storing was tested | o | o | the same |
//! | OpenAI made *n1*, and it got lost | n1, o | o | has OpenAI make *n2* and stores it at once |
//! | OpenAI made *n2*, after *n1* got lost | n2, n1 | o: **refused** | has OpenAI make *n3* and stores it at once |
//! | *n* was stored | n, o | o, n | finds the value, and keeps it |
//! | *n* was tested, or the test failed | n, o | o, n | tests again, with the same delivery |
//! | `AWSCURRENT` was moved | n, o | n, and o as `AWSPREVIOUS` | finds nothing to do |
//! | any of the last three, 24 hours later | n | n | the same |
//!
//! A secret that OpenAI made and that was not stored has no second copy. One lost secret costs the overlap; two in a row
//! cost time: deliveries are answered 401 until one is stored, and for up to 30 seconds more by a verifier that has just
//! read its secrets. The same goes for a lost secret that no attempt follows within 24 hours, for which there is an alarm.
//! OpenAI repeats refused deliveries for 72 hours, so nothing is lost. To make this rare, everything that can fail comes
//! before OpenAI is asked: the version, the key, and *storing itself*, which is tested with a value that nobody reads. (A
//! missing permission would otherwise cost a secret with every attempt.) The last half minute of the invocation is kept
//! for storing.
//!
//! Further cases:
//!
//! - **`createSecret` twice at the same moment.** Two secrets would be made, one could be stored, and nobody could tell
//!   whether it is the newer: if not, it ends after 24 hours. A lease in the ledger admits one attempt at a time. It ends
//!   with the invocation.
//! - **A stored value that is not visible yet.** Secrets Manager may answer with the state of a moment ago. Then a second
//!   secret is made, and the version that has a value refuses it. The newer one is stored as a version of its own, which
//!   becomes `AWSPENDING`, and the step fails (`superseded`): the rotation continues with that version.
//! - **`testSecret` of a version without a value.** Secrets Manager may test a new schedule so: nothing to do.
//! - **`testSecret` fails for good.** The old secret stays `AWSCURRENT`. OpenAI stops signing with it after 24 hours, but
//!   the new one is accepted while it is pending.
//! - **Another secret is stored by hand meanwhile.** It is newer, so `finishSecret` refuses to replace it (`overtaken`).
//! - **`finishSecret` twice.** The first check finds the version in use. The move names the version that it takes the
//!   label from, so a late second one moves nothing.
//! - **The next rotation within 24 hours.** OpenAI signs with the newest and the one before: `AWSPENDING` and
//!   `AWSCURRENT`.
//! - **The 24 hours are counted from when a value was stored**, which is after OpenAI made it. However long the test
//!   takes, `AWSPREVIOUS` is not accepted for longer than OpenAI signs with it.
//! - **What no order of steps can prevent**: OpenAI carries out a call that it never answered, after a later one. The
//!   newest secret is then unknown here. The old one stays valid for 24 hours, and the next rotation repairs it.
//!
//! # Settings
//!
//! | variable | meaning |
//! |---|---|
//! | `TABLE_NAME` | the ledger's table |
//! | `OPENAI_BASE_URL`, `OPENAI_API_KEY_SECRET` | OpenAI's URL, and the secret with the API key |
//! | `WEBHOOK_URL` | the URL that OpenAI delivers to |
//! | `ENDPOINT_ID` | the endpoint's id at OpenAI |
//!
//! # Permissions
//!
//! On the signing secret `secretsmanager:DescribeSecret`, `GetSecretValue`, `PutSecretValue` and
//! `UpdateSecretVersionStage`; `secretsmanager:GetSecretValue` on the API key's secret; `dynamodb:UpdateItem` on the
//! table. The API key needs `api.webhooks.write`, and its owner must be an owner of the project.

mod error;
#[cfg(test)]
mod fixture;
mod request;
mod rotator;
mod test_delivery;
#[cfg(test)]
mod tests;

use hooks_function::{Deadline, Error};
use rotator::Rotator;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let rotator = hooks_function::start(Rotator::from_env)?;
    hooks_function::run(async |event: Value, deadline: Deadline| rotator.handle(event, deadline).await).await
}
