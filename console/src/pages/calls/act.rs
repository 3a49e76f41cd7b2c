//! The forms of a call, and what they do: confirmed or refused within three seconds, recorded with who asked.

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_operate::calls::{self, ANSWER_TIME, Asked, EndAction, check_target};
use hooks_webhook::CallApi;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{PLACE, address, one};
use crate::console::Console;
use crate::data::calls::{self as data, Detail, Found};
use crate::http::gate::Posted;
use crate::http::tokens::random;
use crate::once;
use crate::pages::{Seen, sentence};
use crate::view::Page;
use crate::view::parts::{say, unreadable};
use crate::{Failure, Result};

/// Longest text, in bytes: about the 500 tokens that OpenAI takes.
const MAX_TEXT: usize = 2_000;

/// Longest list of tools, in bytes of JSON.
const MAX_TOOLS: usize = 64 * 1024;

/// What a form may ask.
const KINDS: [&str; 9] = ["message", "say", "instruct", "update", "cancel", "mute", "unmute", "hang_up", "transfer"];

pub(super) fn is_kind(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// What became of a form.
enum Outcome {
    Confirmed,
    Refused(String),
    Unanswered,
}

pub(in crate::pages) async fn act(seen: Seen, Path(id): Path<String>, Extension(form): Extension<Posted>) -> Response {
    let kind = form.get("do").filter(|kind| is_kind(kind));
    let Some(kind) = kind else { return seen.failed(PLACE, &Failure::usage("there is no such action")) };
    let told = match done(&seen, &id, kind, &form).await {
        Ok(Outcome::Confirmed) => return Redirect::to(&format!("{}?did={kind}", address(&id))).into_response(),
        Ok(Outcome::Refused(reason)) => say("bad", "failed", "Refused.", &html! { p { bdi { (sentence(&reason)) } } }),
        Ok(Outcome::Unanswered) => {
            let lead = format!("Nobody answered within {} s.", ANSWER_TIME.as_secs());
            say("warn", "wait", &lead, &html! { p { "It may still be done: the list of what was asked tells." } })
        }
        Err(failure) => unreadable("What became of it", &failure),
    };
    one::show(&seen, &id, &told).await
}

async fn done(seen: &Seen, id: &str, kind: &str, form: &Posted) -> Result<Outcome> {
    let console = &seen.app.console;
    let Found::Session(record) = data::find(console, id).await? else {
        return Err(Failure::failed("there is no such call"));
    };
    if !calls::is_open(&record) {
        let reason = record.reason.as_deref().unwrap_or("for an unknown reason");
        return Ok(Outcome::Refused(format!("the call has ended: {reason}")));
    }
    let argument = match argument(kind, form) {
        Ok(argument) => argument,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    let token = form.get("once").ok_or_else(|| Failure::usage("the form is not whole"))?;
    if !once::first(&console.ledger, token).await? {
        return Ok(Outcome::Refused("this form was sent before, and is not sent twice".to_owned()));
    }
    let action = match kind {
        "hang_up" => EndAction::HangUp,
        "transfer" => EndAction::Transfer(form.get("target").unwrap_or_default().trim()),
        kind => {
            return Ok(match calls::ask(&console.ledger, &record, kind, &argument, &seen.caller.name).await? {
                Asked::Confirmed => Outcome::Confirmed,
                Asked::Refused(reason) => Outcome::Refused(reason),
                Asked::Unanswered => Outcome::Unanswered,
            });
        }
    };
    let api = if record.api == CallApi::Realtime.as_str() { CallApi::Realtime } else { CallApi::Live };
    let (openai, by) = (console.openai().await?, (Some(&console.ledger), seen.caller.name.as_str()));
    Ok(match calls::end(by, &openai, (api, id), action, Console::deadline()).await {
        Ok(()) => Outcome::Confirmed,
        Err(failure) => Outcome::Refused(failure.message),
    })
}

/// The argument of what a form asks, or why it cannot be asked.
fn argument(kind: &str, form: &Posted) -> std::result::Result<Value, String> {
    let text = |name: &str| match form.get(name).map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if text.len() > MAX_TEXT => Err(format!("{name} has at most {MAX_TEXT} bytes")),
        text => Ok(text),
    };
    match kind {
        "message" | "say" | "instruct" => match text("text")? {
            Some(text) => Ok(json!({"text": text})),
            None => Err("the text is empty".to_owned()),
        },
        "update" => {
            let mut change = serde_json::Map::new();
            for name in ["instructions", "voice"] {
                if let Some(text) = text(name)? {
                    change.insert(name.to_owned(), text.into());
                }
            }
            if let Some(tools) = form.get("tools").map(str::trim).filter(|tools| !tools.is_empty()) {
                let tools = Some(tools).filter(|tools| tools.len() <= MAX_TOOLS);
                let tools = tools.and_then(|tools| serde_json::from_str::<Vec<Value>>(tools).ok());
                let why = format!("the tools are not a JSON array of at most {MAX_TOOLS} bytes");
                change.insert("tools".to_owned(), tools.ok_or(why)?.into());
            }
            if change.is_empty() { Err("nothing is to be changed".to_owned()) } else { Ok(Value::Object(change)) }
        }
        "transfer" => check_target(form.get("target").unwrap_or_default().trim())
            .map(|()| json!({}))
            .map_err(|why| format!("the target {why}")),
        _ => Ok(json!({})),
    }
}

/// The forms of a call that goes on: those that its API knows.
pub(super) fn forms(page: &Page<'_>, detail: &Detail) -> Markup {
    let once = match random() {
        Ok(once) => once,
        Err(failure) => return unreadable("What can be asked", &failure),
    };
    let (record, is_live) = (&detail.record, detail.record.api == CallApi::Live.as_str());
    let form = |content: &Markup| {
        html! {
            form.form method="post" action={ (address(&record.id)) "/act" } {
                (page.csrf())
                input type="hidden" name="once" value=(once);
                (content)
            }
        }
    };
    let button = |kind: &str, class: &str, text: &str| {
        html! { input type="hidden" name="do" value=(kind); div.line { (page.act(class, text)) } }
    };
    html! {
        section #ask {
            div.heading { h2 { "Steer" } span.aside { "confirmed or refused within " (ANSWER_TIME.as_secs()) " s" } }
            (form(&html! {
                label.field { "Text" textarea name="text" rows="2" maxlength=(MAX_TEXT) required {} }
                label.field { "As" select name="do" {
                    option value="message" { "a message, which the model answers" }
                    option value="say" { "words that the model says" }
                    option value="instruct" { "an instruction, for the model alone" }
                } }
                div.line { (page.act("main", "Send")) }
            }))
            details { summary { "Change instructions, tools" @if !is_live { ", voice" } }
                (form(&html! {
                    label.field { @if is_live { "Instructions, added to those that it has" } @else { "Instructions, in place of those that it has" }
                        textarea name="instructions" rows="3" {} }
                    @if !is_live { label.field { "Voice, before the first word" input name="voice" maxlength="64"; } }
                    label.field { "Tools, a JSON array in place of those that it has" textarea name="tools" rows="3" spellcheck="false" {} }
                    (button("update", "", "Update"))
                }))
            }
            @if is_live {
                details { summary { "Mute" }
                    p.quiet { "The model hears silence instead of the caller." }
                    div.line { (form(&button("mute", "", "Mute"))) (form(&button("unmute", "", "Unmute"))) }
                }
            } @else {
                details { summary { "Cancel the response" }
                    (form(&button("cancel", "", "Cancel the response")))
                }
            }
            details { summary.alarm { "Transfer" }
                p.quiet { "OpenAI does not tell whether the other side takes the call." }
                (form(&html! {
                    label.field { "To: tel: or sip: URI" input name="target" required maxlength="512" placeholder="tel:+4930123456"; }
                    (button("transfer", "risk", "Transfer the caller"))
                }))
            }
            details { summary.alarm { "Hang up" }
                p.quiet { "Ends the call at once." }
                (form(&button("hang_up", "risk", "Hang up")))
            }
        }
    }
}
