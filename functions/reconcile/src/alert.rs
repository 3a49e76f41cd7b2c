//! The alert of an overdue expectation.

use hooks_aws::ledger::{JobRecord, Waiting};
use hooks_aws::outcomes::Notice;
use hooks_function::text::{duration, moment};
use hooks_webhook::Category;

/// The event type of such an alert. OpenAI has no event like it.
const EVENT_TYPE: &str = "expectation.overdue";

/// The alert's subject and text. `known` is a sentence with what OpenAI says of the object, if it was asked.
pub(crate) fn overdue(
    category: Category,
    waiting: &Waiting,
    job: Option<&JobRecord>,
    known: Option<&str>,
    now: i64,
) -> (String, String) {
    let (what, place) = match category {
        Category::Response => ("Response", "logs"),
        Category::Batch => ("Batch", "batches"),
        _ => ("Fine-tuning job", "finetune"),
    };
    let id = hooks_openai::for_display(&waiting.object_id);
    let (due, late) = (moment(waiting.due_at), duration(now.saturating_sub(waiting.due_at)));
    let since = waiting.created_at.map_or_else(|| "an unknown time".to_owned(), moment);
    let why = match (job, known) {
        (Some(job), _) if job.terminal => format!(
            "It ended as {}, seen {}, but was expected only after that, or its event has failed since.",
            hooks_openai::for_display(&job.status),
            moment(job.as_of / 1000)
        ),
        (_, Some(known)) => known.to_owned(),
        (Some(job), None) => format!(
            "It was {} when an event last told of it, {}.",
            hooks_openai::for_display(&job.status),
            moment(job.as_of / 1000)
        ),
        (None, None) => "No event of it has been handled.".to_owned(),
    };
    let message = format!(
        "{what} {id} was expected to end and, as far as is known here, has not.\n\n\
         What   {what} {id}, expected to end by {due}\n\
         When   {late} ago; expected since {since}\n\
         Why    {why}\n\
         To do  See at OpenAI what became of it. If it goes on, nothing: its end is announced with its context also \
         now. If it has ended, look for its event in the dead-letter queue of {category} and redrive it; if there is \
         none, its webhook was lost, and docs/reconcile.md says what catches that.\n\
         Where  https://platform.openai.com/{place}\n       the ledger's item expected#{category}#{id}\n"
    );
    (format!("{what} {id} has not ended in time"), message)
}

/// The notice of an alert.
pub(crate) fn notice<'a>(category: Category, subject: &'a str, message: &'a str) -> Notice<'a> {
    let (category, reason) = (category.as_str(), "overdue");
    Notice { category, event_type: EVENT_TYPE, reason, id: "", severity: "warning", subject, message }
}
