//! Submission of a batch: the form, the check of every line, and then the batch.

use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::batches::address;
use super::{Seen, head};
use crate::data::submit;
use crate::http::gate::Posted;
use crate::http::tokens::random;
use crate::once;
use crate::view::format::{bytes, count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{commands, say, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::batch_input::{InputErrors, InputSummary};

/// Requests of the form, as they were entered.
#[derive(Default)]
struct Entered<'a> {
    requests: &'a str,
    metadata: &'a str,
}

pub(super) async fn form(seen: Seen) -> Response {
    let page = seen.page(Place::Batches, "Submit a batch");
    page.render(&content(&page, &Entered::default(), &html! {})).into_response()
}

/// Checks every line and shows what would be sent. Nothing is sent yet.
pub(super) async fn check(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let entered = Entered::of(&form);
    let page = seen.page(Place::Batches, "Submit a batch");
    let (status, found) = match checked(&entered) {
        Ok((input, metadata)) => match random() {
            Ok(once) => (StatusCode::OK, summary(&page, &entered, &input, &metadata, &once)),
            Err(failure) => (StatusCode::BAD_GATEWAY, unreadable("The check", &failure)),
        },
        Err(refusal) => (StatusCode::BAD_REQUEST, refusal),
    };
    (status, page.render(&content(&page, &entered, &found))).into_response()
}

/// Submits what was checked, once.
pub(super) async fn submit(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let (console, entered) = (&seen.app.console, Entered::of(&form));
    let page = seen.page(Place::Batches, "Submit a batch");
    let (input, metadata) = match checked(&entered) {
        Ok(checked) => checked,
        Err(refusal) => {
            return (StatusCode::BAD_REQUEST, page.render(&content(&page, &entered, &refusal))).into_response();
        }
    };
    let submitted = async {
        let token = form.get("once").ok_or_else(|| Failure::usage("the form was not checked"))?;
        if !once::first(&console.ledger, token).await? {
            return Err(Failure::usage("this form was submitted before, and is not submitted twice")
                .hint("Its batch is in the list of batches. To submit the same requests again, check them anew."));
        }
        let (batch, failure) = submit::submit(console, entered.requests.to_owned(), &input, &metadata).await?;
        console.forget(&batch.id).await;
        Ok::<_, Failure>((batch, failure))
    };
    match submitted.await {
        Ok((batch, None)) => Redirect::to(&address(&batch.id)).into_response(),
        Ok((batch, Some(failure))) => {
            let found = unexpected(&batch.id, &failure);
            page.render(&content(&page, &Entered::default(), &found)).into_response()
        }
        Err(failure) => seen.failed(Place::Batches, &failure),
    }
}

/// What is said of a batch that was created, but whose end is not expected.
pub(super) fn unexpected(id: &str, failure: &Failure) -> Markup {
    let more = html! {
        p { bdi { (failure.message) } }
        p { "Do not submit it again: " code { "openai-webhooks expect batch " (id) " --by 26h" } " expects its end." }
        p { a.button href=(address(id)) { "Open it" } }
    };
    say("warn", "wait", "The batch is created, but its end is not expected.", &more)
}

impl<'a> Entered<'a> {
    fn of(form: &'a Posted) -> Self {
        Self { requests: form.get("requests").unwrap_or_default(), metadata: form.get("metadata").unwrap_or_default() }
    }
}

type Checked = (InputSummary, Vec<(String, String)>);

fn checked(entered: &Entered<'_>) -> std::result::Result<Checked, Markup> {
    let metadata: Result<_> = submit::metadata(entered.metadata);
    let metadata = metadata
        .map_err(|failure| say("bad", "failed", "The metadata cannot be used.", &html! { p { (failure.message) } }))?;
    match submit::checked(entered.requests) {
        Ok(input) => Ok((input, metadata)),
        Err(errors) => Err(faults(&errors)),
    }
}

/// The faults of the lines, with their numbers.
fn faults(errors: &InputErrors) -> Markup {
    let lead = format!("{}; nothing was sent.", counted(errors.count, "fault"));
    let shown = errors.shown.len() as u64;
    let more = html! {
        div.scroll { table {
            caption.unseen { "Faults by line" }
            thead { tr { th.number scope="col" { "Line" } th scope="col" { "Fault" } th scope="col" { "Reason" } } }
            tbody { @for error in &errors.shown { tr {
                td.number { (count(error.line)) } td { bdi { (error.message) } } td { code { (error.reason) } }
            } } }
        } }
        @if errors.count > shown { p.note { "and " (count(errors.count - shown)) " more" } }
    };
    say("bad", "failed", &lead, &more)
}

fn summary(
    page: &Page<'_>,
    entered: &Entered<'_>,
    input: &InputSummary,
    metadata: &[(String, String)],
    once: &str,
) -> Markup {
    let more = html! {
        dl.list {
            dt { "Requests" } dd { (count(input.lines)) ", " (bytes(entered.requests.len() as u64)) }
            dt { "Path" } dd { code { bdi { (input.endpoint) } } }
            @if let Some(model) = &input.model { dt { "Model" } dd { bdi { (model) } } }
            @if !metadata.is_empty() { dt { "Metadata" } dd { @for (name, value) in metadata { code { bdi { (name) "=" (value) } } " " } } }
            dt { "Expected" } dd { "to end within " (submit::EXPECT_HOURS) " h; people are alerted if it does not" }
        }
        form.note.line method="post" action={ (BASE) "/batches/submit" } {
            (page.csrf())
            input type="hidden" name="once" value=(once);
            input type="hidden" name="metadata" value=(entered.metadata);
            textarea name="requests" hidden { "\n" (entered.requests) }
            (page.act("main", &format!("Submit {}", counted(input.lines, "request"))))
            span.small.quiet { "OpenAI bills what it runs." }
        }
    };
    say("good", "done", "No fault. Nothing is sent yet.", &more)
}

fn content(page: &Page<'_>, entered: &Entered<'_>, found: &Markup) -> Markup {
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/batches" } { "Batches" } " / new" }
        (head(&html! { "Submit a batch" }, &html! {}))
        (found)
        form.form method="post" action={ (BASE) "/batches/new" } {
            (page.csrf())
            label.field { "Requests: JSON Lines, each with custom_id, method, url and body; up to 4 MB here"
                textarea #requests name="requests" required rows="12" spellcheck="false" { "\n" (entered.requests) } }
            label.field { "or a file, which is read into the field above" input type="file" data-into="requests" accept=".jsonl,.ndjson,.json,.txt"; }
            label.field { "Metadata: NAME=VALUE, one a line" textarea name="metadata" rows="2" spellcheck="false" { "\n" (entered.metadata) } }
            div.line { (page.act("main", "Check every line")) span.small.quiet { "Nothing is sent yet." } }
        }
        (commands(&[page.console.command("batch submit requests.jsonl")]))
    }
}
