//! What people are told.

use std::collections::BTreeMap;

use hooks_aws::ledger::{JobRecord, Waiting};
use hooks_aws::outcomes::Notice;
use hooks_function::text::{duration, moment};
use hooks_openai::for_display;
use hooks_webhook::Category;

use crate::error::ReconcileError;
use crate::list::OpenAiList;

/// An alert. OpenAI has no events like it.
pub(crate) struct Alert {
    category: Category,
    event_type: &'static str,
    subject: String,
    message: String,
}

impl Alert {
    pub(crate) fn notice(&self) -> Notice<'_> {
        let Self { category, event_type, subject, message } = self;
        Notice {
            category: category.as_str(),
            event_type,
            reason: event_type,
            id: "",
            severity: "warning",
            subject,
            message,
        }
    }
}

/// An expectation is overdue. `known` is a sentence with what OpenAI says of the object, if it was asked.
pub(crate) fn overdue(
    category: Category,
    waiting: &Waiting,
    job: Option<&JobRecord>,
    known: Option<&str>,
    now: i64,
) -> Alert {
    let (what, place) = match category {
        Category::Response => ("Response", "logs"),
        Category::Batch => ("Batch", "batches"),
        _ => ("Fine-tuning job", "finetune"),
    };
    let id = for_display(&waiting.object_id);
    let (due, late) = (moment(waiting.due_at), duration(now.saturating_sub(waiting.due_at)));
    let since = waiting.created_at.map_or_else(|| "an unknown time".to_owned(), moment);
    let why = match (job, known) {
        (_, Some(known)) => known.to_owned(),
        (Some(job), None) => {
            format!("It was {} when an event last told of it, {}.", for_display(&job.status), moment(job.as_of / 1000))
        }
        (None, None) => "No event of it has been handled.".to_owned(),
    };
    let message = format!(
        "{what} {id} was expected to end and, as far as is known here, has not.\n\n\
         What   {what} {id}, expected to end by {due}\n\
         When   {late} ago; expected since {since}\n\
         Why    {why}\n\
         To do  See at OpenAI what became of it. If it goes on, nothing: its end is announced with its context also \
         now. If it has ended, look for its event in the queue of {category}, whose function may be off or broken, and in \
         its dead-letter queue, and redrive it; if there is none, its webhook was lost, and docs/reconcile.md says what \
         catches that.\n\
         Where  https://platform.openai.com/{place}\n       the ledger's item expected#{category}#{id}\n"
    );
    Alert {
        category,
        event_type: "expectation.overdue",
        subject: format!("{what} {id} has not ended in time"),
        message,
    }
}

/// So many scans of a list in a row have failed.
pub(crate) fn unreadable(list: OpenAiList, failures: u32, error: &ReconcileError) -> Alert {
    let (what, category) = match list {
        OpenAiList::Batches => ("batches", Category::Batch),
        OpenAiList::FineTuningJobs => ("fine-tuning jobs", Category::FineTuning),
        OpenAiList::AgentSessions => ("agent sessions", Category::Agent),
    };
    let why = for_display(&error.to_string());
    let message = format!(
        "OpenAI's list of {what} could not be read to its end {failures} times in a row. The newest ones are still looked \
         at. Of the others, webhooks that got lost are not found.\n\n\
         What   the search for lost webhooks in OpenAI's list of {what}\n\
         When   at each of the last {failures} attempts; the next one begins at the newest entry again\n\
         Why    {why}\n\
         To do  See whether OpenAI has an incident (https://status.openai.com) and whether the API key may read the list. \
         docs/reconcile.md says how to run a search by hand.\n\
         Where  the log of the function reconcile\n"
    );
    let subject = format!("OpenAI's list of {what} cannot be read");
    Alert { category, event_type: "reconcile.unreadable", subject, message }
}

/// Events were queued whose webhooks never came.
pub(crate) fn webhooks_lost(sent: &BTreeMap<&str, usize>) -> Alert {
    let list: Vec<String> = sent.iter().map(|(list, number)| format!("{list} {number}")).collect();
    let list = list.join(", ");
    let message = format!(
        "OpenAI's webhooks of some objects never came. Their events are queued now and handled as usual.\n\n\
         What   {list}\n\
         Why    OpenAI could not deliver them, or they were refused\n\
         To do  See in OpenAI's dashboard how the deliveries failed, and in openai-webhooks status what was answered.\n\
         Where  docs/operations.md, Alert: webhooks were lost\n"
    );
    let subject = format!("Webhooks were lost: {list}");
    Alert { category: Category::Archive, event_type: "webhooks.lost", subject, message }
}

/// Dead letters have been there since the day before.
pub(crate) fn dead_letters_wait(waiting: &BTreeMap<&str, u64>) -> Alert {
    let list: Vec<String> = waiting.iter().map(|(category, number)| format!("{category} {number}")).collect();
    let list = list.join(", ");
    let message = format!(
        "Dead letters still wait. SQS deletes them 14 days after their events came in.\n\n\
         What   {list}\n\
         Why    the events failed for good, and nobody has redriven or purged them since yesterday\n\
         To do  openai-webhooks dlq list; remove the cause, then openai-webhooks dlq redrive. What cannot be mended: \
         openai-webhooks dlq purge. This reminder comes once a day until the queues are empty.\n\
         Where  docs/operations.md, STACK-dead-letters\n"
    );
    let subject = format!("Dead letters still wait: {list}");
    Alert { category: Category::Archive, event_type: "dead_letters.waiting", subject, message }
}

/// Nobody has set these secrets.
pub(crate) fn secrets_unset(names: &[&str], since: &str) -> Alert {
    let list = names.join(", ");
    let message = format!(
        "Secrets of the stack were never set. Deliveries that need them are answered 503, and OpenAI drops what it could \
         not deliver for 72 hours.\n\n\
         What   {list}\n\
         When   created at {since}\n\
         Why    the stack creates secrets without a value\n\
         To do  openai-webhooks secret set NAME, for each. Without an endpoint of your organization: a text of your own \
         in its secret ends this reminder, which comes once a day.\n\
         Where  docs/operations.md, Alert: secrets are not set\n"
    );
    let subject = format!("Secrets are not set: {list}");
    Alert { category: Category::Archive, event_type: "secrets.unset", subject, message }
}

/// A model that production uses ends in so many days.
pub(crate) fn model_ends(parameter: &str, model: &str, date: &str, days: i64) -> Alert {
    let (parameter, model, date) = (for_display(parameter), for_display(model), for_display(date));
    let when = match days {
        0 => "has ended".to_owned(),
        1 => "ends tomorrow".to_owned(),
        days => format!("ends in {days} days"),
    };
    let message = format!(
        "The model that production uses {when}.\n\n\
         What   {model}, the value of the parameter {parameter}\n\
         When   {date}\n\
         Why    OpenAI ends models, and with a base model every model tuned from it. Requests to it fail from then on.\n\
         To do  Store a model that stays in the parameter: a newer model of OpenAI's, or one tuned from it. Test it with \
         your prompts first.\n\
         Where  https://platform.openai.com/docs/deprecations\n       aws ssm get-parameter --name {parameter}\n"
    );
    let subject = format!("The model that production uses {when}");
    Alert { category: Category::FineTuning, event_type: "model.shutdown", subject, message }
}
