//! What a person is told about calls that were not answered, and about a policy that cannot be used.

use hooks_consumer::{Alert, Event, Severity, when};

use crate::call::Call;
use crate::policy::source::Problem;

/// How the policy is put right.
const PUT_RIGHT: &str = "See docs/calls.md for what a policy is and how it is stored; it is used within half a minute.";

/// There is no policy to answer by.
pub(crate) fn unanswered(event: &Event, call: &Call<'_>, problem: Option<&Problem>, location: &str) -> Alert {
    let why = problem.map_or("there is no policy", |problem| problem.message.as_str());
    let message = format!(
        "A call was not answered, because there is no policy for calls.\n\n\
         {}\
         Why    {why}\n\
         To do  Store a policy, or unsubscribe from the event. {PUT_RIGHT}\n\
         Where  {location}\n",
        about(event, call)
    );
    Alert { severity: Severity::Critical, subject: "A call was not answered: there is no policy".to_owned(), message }
}

/// The call waited for too long.
pub(crate) fn too_old(event: &Event, call: &Call<'_>, age_ms: i64, most: i64, attempt: u32) -> Alert {
    let why = if attempt > 1 {
        format!("it was tried {} times before, and that failed; the log says why", attempt - 1)
    } else {
        "the delivery came late, or the queue was not emptied in time".to_owned()
    };
    let message = format!(
        "A call was not answered: it had been waiting for {} already, and after {} its caller has gone.\n\n\
         {}\
         Why    {why}\n\
         To do  Nothing for this call. If it happens again, see in the log of the realtime function what took the \
         time, and whether its concurrency is enough.\n\
         Where  the event {}\n",
        when::duration(age_ms / 1000),
        when::duration(most),
        about(event, call),
        hooks_openai::for_display(&event.id),
    );
    Alert { severity: Severity::Warning, subject: "A call was not answered: it came too late".to_owned(), message }
}

/// What lies there cannot be used, and calls are answered by what lay there before.
pub(crate) fn broken(problem: &Problem, location: &str) -> Alert {
    let message = format!(
        "The policy for calls cannot be used. Calls are answered by the last good one, as long as a process has it: a \
         new process has none, and leaves calls unanswered.\n\n\
         What   the policy for calls\n\
         Why    {}\n\
         To do  Put it right. {PUT_RIGHT}\n\
         Where  {location}\n",
        problem.message
    );
    Alert { severity: Severity::Critical, subject: "The policy for calls cannot be used".to_owned(), message }
}

fn about(event: &Event, call: &Call<'_>) -> String {
    let shown = |header| call.masked(header).unwrap_or_else(|| "unknown".to_owned());
    format!(
        "What   {} {}, from {} to {}\n\
         When   {}\n",
        hooks_openai::for_display(&event.event_type),
        hooks_openai::for_display(call.id),
        shown("From"),
        shown("To"),
        when::moment(event.created_at)
    )
}
