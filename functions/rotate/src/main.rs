//! Rotates the signing secret of the project's webhook endpoint: Secrets Manager's four steps.
//!
//! | step | what it does |
//! |---|---|
//! | `createSecret` | has OpenAI make a new secret, keeping the old one for 24 hours, and stores it as `AWSPENDING` |
//! | `setSecret` | nothing: OpenAI makes the secrets, and signs with a new one from the moment that it gave it out |
//! | `testSecret` | delivers an event signed with the new secret through the real URL, until it is answered with 200 |
//! | `finishSecret` | moves `AWSCURRENT` to the new secret; the old one becomes `AWSPREVIOUS` |
//!
//! # Nobody is shut out
//!
//! Secrets Manager may call a step again, and the process may die anywhere. Two facts carry the argument:
//!
//! - OpenAI signs every delivery with its newest secret and, for 24 hours, with the one that this replaced. It keeps one
//!   old secret; an older one ends when the next is made.
//! - The verifier accepts `AWSCURRENT`, `AWSPENDING` while it exists, and `AWSPREVIOUS` for 24 hours after `AWSCURRENT`
//!   was made. It looks for new ones when a signature fits none, at most every 30 seconds.
//!
//! So a delivery gets through while one of the two secrets that sign it is stored, and goes on to do so for good once
//! the newest is. With *o* for the old secret and *n* for the new ones:
//!
//! | cut off after | OpenAI signs with | the verifier accepts | the next try |
//! |---|---|---|---|
//! | the rotation was begun | o | o | begins |
//! | the lease was taken, the key read | o | o | waits until the lease is over, then begins |
//! | storing was tried out | o | o | the same |
//! | OpenAI made *n1*, and it got lost | n1, o | o | has OpenAI make *n2* and stores it at once |
//! | OpenAI made *n2*, after *n1* got lost | n2, n1 | o: **refused** | has OpenAI make *n3* and stores it at once |
//! | *n* was stored | n, o | o, n | finds the value, and leaves it so |
//! | *n* was tested, or the test failed | n, o | o, n | tests again, with the same delivery |
//! | `AWSCURRENT` was moved | n, o | n, and o as `AWSPREVIOUS` | finds nothing to do |
//! | any of the last three, 24 hours later | n | n | the same |
//!
//! Of a secret that OpenAI made and nobody stored there is no second copy, so one lost secret costs the overlap, and two
//! in a row cost time: deliveries are answered 401 until one is stored, and for up to 30 seconds more by a verifier that
//! has just looked. The same goes for one that is not followed by another try within 24 hours, of which the alarm tells
//! people. OpenAI repeats what was refused for 72 hours, so nothing is lost. To make that rare, everything that can fail comes
//! before OpenAI is asked: the version, the key, and *storing itself*, which is tried out with a value that
//! nobody reads. (A missing permission would otherwise cost a secret with every try.) The last half minute of the
//! invocation is kept for storing.
//!
//! Further cases:
//!
//! - **`createSecret` twice at the same moment.** Two secrets would be made, one could be stored, and nobody could tell
//!   whether that is the newer one: if not, it ends after 24 hours. A lease in the ledger lets one try in at a time. It is
//!   over when the invocation is.
//! - **A value that was stored and is not seen yet.** Secrets Manager may answer with what was a moment ago. Then a second
//!   secret is made, and the version that has a value refuses it. The newer one is stored as a version of its own, which
//!   becomes `AWSPENDING`, and the step fails (`superseded`): the rotation goes on with that version.
//! - **`testSecret` fails for good.** The old secret stays `AWSCURRENT`. OpenAI stops signing with it after 24 hours, but
//!   the new one is accepted for as long as it is pending.
//! - **Somebody stores another secret meanwhile.** That one is newer, so `finishSecret` refuses to replace it
//!   (`overtaken`).
//! - **`finishSecret` twice.** The first check finds the version in use. The move names the version that it takes the
//!   label from, so a late second one moves nothing.
//! - **The next rotation within 24 hours.** OpenAI signs with the newest and the one before: `AWSPENDING` and
//!   `AWSCURRENT`.
//! - **The 24 hours are counted from when a value was stored**, at the latest from when OpenAI made it. However long the
//!   test takes, `AWSPREVIOUS` is not accepted for longer than OpenAI signs with it.
//! - **What no order of steps can rule out**: OpenAI carries out a call that it never answered, after a later one. The
//!   newest secret is then unknown here. The old one goes on for 24 hours, and the next rotation mends it.
//!
//! # Settings
//!
//! | variable | what it is |
//! |---|---|
//! | `TABLE_NAME` | the ledger's table |
//! | `OPENAI_BASE_URL`, `OPENAI_API_KEY_SECRET` | how OpenAI is called |
//! | `WEBHOOK_URL` | where OpenAI delivers to |
//! | `ENDPOINT_ID` | the endpoint's id at OpenAI |
//!
//! # Permissions
//!
//! On the signing secret `secretsmanager:DescribeSecret`, `GetSecretValue`, `PutSecretValue` and
//! `UpdateSecretVersionStage`; `secretsmanager:GetSecretValue` on the API key's secret; `dynamodb:UpdateItem` on the
//! table. The API key needs `api.webhooks.write`, and an owner of the project behind it.

mod error;
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
