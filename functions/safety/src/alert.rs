//! Alerts about safety notices.

use hooks_consumer::object::time_text;
use hooks_consumer::{Alert, Event, Severity};
use hooks_openai::{SafetyAlert, SafetyCase, for_display};
use serde_json::{Map, Value};

use crate::notice::{Object, Subject, severity};

const LOGS: &str = "https://platform.openai.com/logs";
const KEYS: &str = "https://platform.openai.com/api-keys";
const ORGANIZATION: &str = "https://platform.openai.com/settings/organization/general";

/// The alert for a notice whose object was retrieved, and stored at `place` if that succeeded.
pub(crate) fn found(event: &Event, subject: Subject, object: &Object, place: Option<&str>) -> Alert {
    let place = place.unwrap_or("the object could not be stored");
    let (title, message) = match object {
        Object::Alert(alert) => alert_text(event, subject, alert, place),
        Object::Case(case) => case_text(event, case, place),
    };
    Alert { severity: severity(event, subject, Some(object)), subject: title, message }
}

fn alert_text(event: &Event, subject: Subject, alert: &SafetyAlert, place: &str) -> (String, String) {
    let id = for_display(&alert.id);
    let what = match alert.error_type.as_deref() {
        Some("potentially_unintended_data_transfer") => "a model may have sent data to the wrong place",
        Some("potentially_unintended_data_access") => "a model may have read data that it should not",
        Some("potentially_unintended_destructive_activity") => "a model may have deleted or damaged something",
        _ => "a model may have done something unintended",
    };
    let kind = shown(alert.error_type.as_deref());
    let (model, request, response) =
        (shown(alert.model.as_deref()), shown(alert.request_id.as_deref()), shown(alert.response_id.as_deref()));
    let paused = match alert.request_paused {
        Some(true) => "OpenAI has blocked the request, which does not prove that its execution stopped",
        Some(false) => "OpenAI has NOT blocked the request, which may still be running",
        None => "OpenAI does not say whether it has blocked the request",
    };
    let why = alert.reason.as_deref().map_or_else(|| "OpenAI gives no reason".to_owned(), for_display);
    let explained = match alert.detailed_explanation {
        Some(_) => "\n       A detailed explanation is stored with the object; OpenAI deletes its own after a while.",
        None => "",
    };
    let created = created(alert.created_at.unwrap_or(event.created_at));
    let message = format!(
        "OpenAI raised the {} {id}: {what}.\n\n\
         What   {kind}\n       model {model}, request {request}, response {response}\n       {paused}\n\
         When   {created}\n\
         Why    {why}{explained}\n\
         To do  Stop the agent or job that made this request, check what its tools did (what was sent, read or \
         deleted), and undo it. Restrict its tools before it runs again.\n\
         Where  {place}\n       {LOGS}/{response}\n",
        subject.name()
    );
    (format!("{}: {kind}", capital(&format!("{} {id}", subject.name()))), message)
}

fn case_text(event: &Event, case: &SafetyCase, place: &str) -> (String, String) {
    let id = for_display(&case.id);
    let announced = if event.event_type == "safety.deactivation_issued" { "deactivation" } else { "warning" };
    let notice = for_display(case.notice.as_deref().unwrap_or(announced));
    let identifier = shown(case.entity_identifier.as_deref());
    let why = case.reason.as_deref().map_or_else(|| "OpenAI gives no reason".to_owned(), for_display);
    let (created, to_do) = (created(case.created_at.unwrap_or(event.created_at)), to_do(&notice));
    let message = format!(
        "OpenAI issued a {notice} for a safety identifier of your organization.\n\n\
         What   {notice}, case {id}\n       safety identifier {identifier}\n\
         When   {created}\n\
         Why    {why}\n\
         To do  {to_do}\n\
         Where  {place}\n       {ORGANIZATION}\n"
    );
    (format!("Safety {notice}, case {id}"), message)
}

/// The alert for a blocked identifier, whose event has all data.
pub(crate) fn blocked(event: &Event, data: &Map<String, Value>) -> Alert {
    let known = |name: &str| shown(data.get(name).and_then(Value::as_str));
    let (category, identifier, model) = (known("safety_category"), known("safety_identifier"), known("model"));
    let (request, project, created) = (known("request_id"), known("project_id"), created(event.created_at));
    let message = format!(
        "OpenAI blocked a request of one of your users.\n\n\
         What   safety identifier {identifier}\n       model {model}, request {request}, project {project}\n\
         When   {created}\n\
         Why    safety category {category}\n\
         To do  Find the user of this identifier (your application made it) and check their requests. Stop their access \
         unless it was a mistake: further requests can lead to a warning or a deactivation.\n\
         Where  {LOGS}\n"
    );
    let subject = format!("A safety identifier was blocked ({category})");
    Alert { severity: Severity::Warning, subject, message }
}

/// The alert for a notice whose object was not retrieved.
pub(crate) fn failed(event: &Event, subject: Subject, id: Option<&str>, why: &str) -> Alert {
    let (name, permission) = (subject.name(), subject.permission());
    let (kind, created) = (for_display(&event.event_type), created(event.created_at));
    let id = id.map_or_else(|| "without an id".to_owned(), for_display);
    let call = call(subject, &id);
    let to_do = match event.event_type.as_str() {
        "safety.warning_issued" => to_do("warning"),
        "safety.deactivation_issued" => to_do("deactivation"),
        _ => "Look at the notice at OpenAI, and stop the agent or job that it is about.",
    };
    let message = format!(
        "OpenAI sent a {name}, but its details could not be retrieved.\n\n\
         What   {kind}, {id}\n\
         When   {created}\n\
         Why    unknown, because the lookup failed: {why}\n\
         To do  {to_do} To get the details, fix the lookup and replay the event. The API key needs {permission}.\n\
         Where  {call}\n       {KEYS}\n"
    );
    let title = capital(&format!("{name} {id} ({kind}), details unknown"));
    Alert { severity: severity(event, subject, None), subject: title, message }
}

/// The alert for a notice whose object OpenAI does not have, with OpenAI's answer in `why`.
pub(crate) fn not_found(event: &Event, subject: Subject, id: &str, why: &str) -> Alert {
    let (name, permission) = (subject.name(), subject.permission());
    let (kind, created) = (for_display(&event.event_type), created(event.created_at));
    let (id, why) = (for_display(id), for_display(why));
    let call = call(subject, &id);
    let message = format!(
        "OpenAI sent a notice about a {name} that it does not have. This is probably a test delivery.\n\n\
         What   {kind}, {id}\n\
         When   {created}\n\
         Why    {why}. A test delivery names an object that does not exist. The API key was accepted, and no permission was \
         refused.\n\
         To do  Nothing after a test. Otherwise the API key may belong to another project or organization: it needs \
         {permission}.\n\
         Where  {call}\n"
    );
    let title = capital(&format!("{name} {id} is unknown to OpenAI, probably a test"));
    Alert { severity: Severity::Warning, subject: title, message }
}

/// The alert for a notice of an unknown type.
pub(crate) fn unknown(event: &Event) -> Alert {
    let (kind, created) = (for_display(&event.event_type), created(event.created_at));
    let id = event.object_id().map_or_else(|| "without an id".to_owned(), for_display);
    let message = format!(
        "OpenAI sent a safety notice of an unknown type.\n\n\
         What   {kind}, {id}\n\
         When   {created}\n\
         Why    unknown: nothing was retrieved\n\
         To do  Look the type up in OpenAI's documentation of webhook events. The ledger has the whole event.\n\
         Where  {ORGANIZATION}\n"
    );
    Alert { severity: Severity::Warning, subject: format!("Unknown safety notice {kind}"), message }
}

fn to_do(notice: &str) -> &'static str {
    if notice == "deactivation" {
        "Take this user's access away in your application. If the case is a mistake, send its id to OpenAI's support."
    } else {
        "Find the user of this identifier and check their requests. Stop them: a deactivation can follow."
    }
}

fn call(subject: Subject, id: &str) -> String {
    let kind = if subject == Subject::Case { "cases" } else { "alerts" };
    format!("GET https://api.openai.com/v1/safety/{kind}/{id}")
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "unknown".to_owned(), for_display)
}

fn created(seconds: i64) -> String {
    time_text(Some(seconds).filter(|seconds| *seconds > 0))
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}", first.to_uppercase())
}
