//! Alerts about calls that were not answered, and about a policy that cannot be used.

use hooks_consumer::{Alert, Event, Severity, text};
use hooks_openai::for_display;
use hooks_policy::Call;

use crate::policy_source::PolicyError;

/// How to fix the policy.
const FIX: &str =
    "docs/calls.md describes policies and where to store them. A new policy is used within half a minute.";

/// The alert for a call that was not answered because there is no policy.
pub(crate) fn unanswered(event: &Event, call: &Call<'_>, error: Option<&PolicyError>, location: &str) -> Alert {
    let why = error.map_or("there is no policy", |error| error.message.as_str());
    let about = about(event, call);
    let message = format!(
        "A call was not answered, because there is no policy for calls.\n\n\
         {about}\
         Why    {why}\n\
         To do  Store a policy, or unsubscribe from the event. {FIX}\n\
         Where  {location}\n"
    );
    Alert { severity: Severity::Critical, subject: "A call was not answered: there is no policy".to_owned(), message }
}

/// The alert for a call that was not answered because it waited too long: `maximum` is in seconds.
pub(crate) fn too_old(event: &Event, call: &Call<'_>, age_ms: i64, maximum: i64, attempt: u32) -> Alert {
    let why = if attempt > 1 {
        format!("{} earlier attempts failed; the log has the reasons", attempt - 1)
    } else {
        "the delivery came late, or the event waited in the queue".to_owned()
    };
    let (waited, maximum) = (text::duration(age_ms / 1000), text::duration(maximum));
    let (about, event_id) = (about(event, call), for_display(&event.id));
    let message = format!(
        "A call was not answered: it had waited for {waited}, and a caller is expected to hang up after {maximum}.\n\n\
         {about}\
         Why    {why}\n\
         To do  Nothing for this call. If it happens again, check the log of the realtime function for delays, and \
         whether its concurrency is sufficient.\n\
         Where  the event {event_id}\n"
    );
    Alert { severity: Severity::Warning, subject: "A call was not answered: it came too late".to_owned(), message }
}

/// The alert for a stored policy that cannot be used while an earlier one is still in use.
pub(crate) fn unusable_policy(error: &PolicyError, location: &str) -> Alert {
    let why = &error.message;
    let message = format!(
        "The policy for calls cannot be used. Running function instances answer calls by the last valid policy. A new \
         instance has none and leaves calls unanswered.\n\n\
         What   the policy for calls\n\
         Why    {why}\n\
         To do  Correct the policy. {FIX}\n\
         Where  {location}\n"
    );
    Alert { severity: Severity::Critical, subject: "The policy for calls cannot be used".to_owned(), message }
}

fn about(event: &Event, call: &Call<'_>) -> String {
    let masked = |header| call.masked(header).unwrap_or_else(|| "unknown".to_owned());
    let (kind, id, created) = (for_display(&event.event_type), for_display(call.id), text::moment(event.created_at));
    format!("What   {kind} {id}, from {} to {}\nWhen   {created}\n", masked("From"), masked("To"))
}
