//! The policy for calls, and a tester: which rule decides about a call, and why.

use axum::response::{IntoResponse as _, Response};
use hooks_operate::call_policy::{self, Stored, sentence as decided, verdict_of_rule, why, word};
use hooks_operate::timestamp::Timestamp;
use hooks_policy::{Decision, Policy, RuleVerdict};
use maud::{Markup, html};

use super::PLACE;
use crate::pages::{Seen, head, sentence};
use crate::view::Page;
use crate::view::layout::BASE;
use crate::view::parts::{commands, empty, json, labelled, say, unreadable, visible};

/// Longest value of a field of the tester, in bytes.
const MAX_FIELD: usize = 8 * 1024;

/// Most headers of a call that is tried, as many as are kept of a real one.
const MAX_HEADERS: usize = 64;

pub(in crate::pages) async fn page(seen: Seen) -> Response {
    let console = &seen.app.console;
    let stored = call_policy::stored(&console.aws, &console.stack).await;
    let page = seen.page(PLACE, "Policy for calls");
    let content = html! {
        nav.path aria-label="Path" { a href={ (BASE) "/calls" } { "Calls" } " / policy" }
        (head(&html! { "Policy for calls" }, &page.freshness()))
        @match &stored {
            Err(failure) => (unreadable("The policy", failure)),
            Ok(stored) => (shown(&page, &seen, stored)),
        }
        (commands(&[page.console.command("calls check-policy --from +4930123456"), page.console.command("calls set-policy policy.json")]))
    };
    page.render(&content).into_response()
}

fn shown(page: &Page<'_>, seen: &Seen, stored: &Stored) -> Markup {
    let Some(text) = &stored.policy else {
        return empty(
            "No policy is stored",
            &html! {
                p { "No call is answered. Store one in " code { (stored.location) } ":" }
                p { code.id { (page.console.command("calls set-policy policy.json")) } }
            },
        );
    };
    let text = String::from_utf8_lossy(text);
    let parsed = Policy::parse(text.as_bytes());
    html! {
        @match &parsed {
            Err(mistakes) => (say("bad", "failed", "The policy is not valid, and is not used.", &html! {
                ul { @for mistake in mistakes { li { bdi { (visible(mistake)) } } } }
                p { "The last valid one stays in use for as long as the function lives; then calls ring unanswered." }
            })),
            Ok(policy) => {
                @for warning in &policy.warnings { p.caution { bdi { (visible(&sentence(warning))) } } }
                (tester(seen, policy))
            }
        }
        section {
            div.heading { h2 { "As it is stored" } span.aside { code { (stored.location) } } }
            (json("Policy", &text))
        }
    }
}

fn tester(seen: &Seen, policy: &Policy) -> Markup {
    let (from, to, others) = (seen.get("from"), seen.get("to"), seen.get("headers").unwrap_or_default());
    let tried = match headers(from, to, others) {
        Ok(headers) if headers.is_empty() => html! {},
        Ok(headers) => {
            let (invite, now) = (call_policy::invite(&headers), Timestamp::now().seconds());
            verdicts(&policy.explain(&invite, now), &policy.decide(&invite, now))
        }
        Err(why) => say("bad", "failed", "The call cannot be tried.", &html! { p { bdi { (sentence(&why)) } } }),
    };
    html! {
        section {
            div.heading { h2 { "Try a call" } span.aside { "calls are answered as " (policy.answer_as) } }
            form.form method="get" action={ (BASE) "/calls/policy" } {
                label.field { "From: a number, or the whole header" input name="from" value=[from] maxlength=(MAX_FIELD); }
                label.field { "To: a number, or the whole header" input name="to" value=[to] maxlength=(MAX_FIELD); }
                label.field { "Other headers, one a line" textarea name="headers" rows="2" spellcheck="false" { "\n" (others) } }
                div.line { button.button.main { "Try" } span.small.quiet { "As of now. Nothing is called." } }
            }
            (tried)
        }
    }
}

fn headers(from: Option<&str>, to: Option<&str>, others: &str) -> Result<Vec<(String, String)>, String> {
    if [from.unwrap_or_default(), to.unwrap_or_default(), others].iter().any(|text| text.len() > MAX_FIELD) {
        return Err(format!("a field has at most {MAX_FIELD} bytes"));
    }
    let lines = others.lines().map(str::trim).filter(|line| !line.is_empty());
    let others = lines.map(|line| call_policy::header(line).map_err(|why| format!("the header {line:?} {why}")));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    if others.len() > MAX_HEADERS {
        return Err(format!("a call that is tried has at most {MAX_HEADERS} headers"));
    }
    Ok(call_policy::headers(from, to, &others))
}

fn verdicts(rules: &[RuleVerdict<'_>], decision: &Decision<'_>) -> Markup {
    let action = decision.action.as_str();
    let kind = if action == "reject" { "gone" } else { "done" };
    html! {
        div #decision { (say("", kind, &sentence(&visible(&decided(decision))), &html! {
            @if let Some(name) = decision.name { p { "The rule: " bdi { (visible(name)) } } }
        })) }
        @for (index, rule) in rules.iter().enumerate() {
            div.heading {
                h3 { code { "rules[" (index) "]" } @if let Some(name) = rule.name { " " bdi { (visible(name)) } } ": " (rule.action.as_str()) }
                span.aside { (verdict_of_rule(index, decision)) }
            }
            div.scroll { table.stack {
                caption.unseen { "Conditions of rule " (index) }
                thead { tr { th scope="col" { "Condition" } th scope="col" { "Verdict" } th scope="col" { "Of the call" } } }
                tbody { @for condition in &rule.conditions { tr {
                    td.full { bdi { (visible(&condition.condition)) } }
                    td.end { (labelled(verdict_kind(word(condition.verdict)), word(condition.verdict)))
                        @if let Some(why) = why(condition.verdict) { " " span.small.quiet { (why) } } }
                    td { @match &condition.value { Some(value) => code { bdi { (visible(value)) } }, None => span.zero { "–" } } }
                } } }
            } }
        }
    }
}

fn verdict_kind(word: &str) -> &'static str {
    match word {
        "matches" => "done",
        "differs" => "gone",
        _ => "wait",
    }
}
