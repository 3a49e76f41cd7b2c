//! Sessions: one holder, tool calls run once, requests taken once, transcripts.

use hooks_aws::ledger::{
    ControlAnswer, HoldResult, NewSession, SessionHold, SessionState, TakeResult, ToolClaim, ToolClaimResult,
    ToolResult, TranscriptLine,
};
use serde_json::{Map, json};

use crate::stack::{LATER, Table, now};

const SESSION: (&str, &str) = ("live", "live_1");

async fn opened() -> Table {
    let table = Table::new().await;
    assert!(open(&table).await);
    table
}

async fn open(table: &Table) -> bool {
    let facts = json!({"from": "+49*******89"});
    let new = NewSession {
        api: SESSION.0,
        id: SESSION.1,
        settings: "{}",
        event: "project#wh_1",
        facts: facts.as_object().unwrap(),
        caller: Some("+4930123456789"),
    };
    table.ledger.open_session(&new).await.unwrap()
}

async fn taken(table: &Table, generation: u32) -> SessionHold {
    match table.ledger.take_session(SESSION.0, SESSION.1, generation, LATER).await.unwrap() {
        TakeResult::Taken(hold, _) => hold,
        other => panic!("{other:?}"),
    }
}

fn result(output: &str) -> ToolResult {
    ToolResult { is_success: true, output: output.to_owned() }
}

async fn claimed(table: &Table) -> ToolClaim {
    match table.ledger.claim_tool(SESSION, "call_1", "orders", "{}", LATER).await.unwrap() {
        ToolClaimResult::Granted(claim) => claim,
        ToolClaimResult::Known(call) => panic!("{call:?}"),
    }
}

#[tokio::test]
async fn a_session_is_recorded_once() {
    let table = opened().await;
    assert!(!open(&table).await);
    let record = table.ledger.session(SESSION.0, SESSION.1).await.unwrap().unwrap();
    assert_eq!((record.state, record.generation), (SessionState::Ringing, 0));
    assert_eq!(record.caller.as_deref(), Some("+4930123456789"));
    assert!(!format!("{record:?}").contains("4930123"));
    assert!(table.ledger.session("realtime", SESSION.1).await.unwrap().is_none());
}

#[tokio::test]
async fn a_later_generation_takes_a_session_and_an_earlier_one_is_refused() {
    let table = opened().await;
    let first = taken(&table, 1).await;
    let second = taken(&table, 2).await;
    for generation in [1, 2] {
        let again = table.ledger.take_session(SESSION.0, SESSION.1, generation, LATER).await.unwrap();
        assert!(matches!(again, TakeResult::Superseded), "{again:?}");
    }
    let none = Map::new();
    assert_eq!(table.ledger.keep_session(&first, LATER, &none, &none).await.unwrap(), HoldResult::Superseded);
    assert_eq!(table.ledger.session_ending(&first, "late", &none).await.unwrap(), HoldResult::Superseded);
    assert_eq!(table.ledger.keep_session(&second, LATER, &none, &none).await.unwrap(), HoldResult::Held);
}

#[tokio::test]
async fn a_session_ends_with_its_first_reason_and_is_taken_no_more() {
    let table = opened().await;
    let hold = taken(&table, 1).await;
    assert_eq!(table.ledger.session_active(&hold).await.unwrap(), HoldResult::Held);
    for reason in ["idle", "remote_hangup"] {
        assert_eq!(table.ledger.session_ending(&hold, reason, &Map::new()).await.unwrap(), HoldResult::Held);
    }
    let hold = taken(&table, 2).await;
    let record = table.ledger.session_of(&hold).await.unwrap().unwrap();
    assert_eq!((record.state, record.reason.as_deref()), (SessionState::Ending, Some("idle")));
    assert!(record.caller.is_some(), "a tool may still look it up");
    assert_eq!(table.ledger.session_ended(&hold).await.unwrap(), HoldResult::Held);
    assert_eq!(table.ledger.session_of(&hold).await.unwrap().unwrap().caller, None);
    let over = table.ledger.take_session(SESSION.0, SESSION.1, 3, LATER).await.unwrap();
    assert!(matches!(over, TakeResult::Ended), "{over:?}");
    let none = table.ledger.take_session(SESSION.0, "live_2", 1, LATER).await.unwrap();
    assert!(matches!(none, TakeResult::Absent), "{none:?}");
}

#[tokio::test]
async fn only_a_session_that_nobody_has_had_is_dropped() {
    let table = opened().await;
    table.ledger.drop_session(SESSION.0, SESSION.1, "not_found").await.unwrap();
    assert_eq!(table.ledger.session(SESSION.0, SESSION.1).await.unwrap().unwrap().caller, None);
    let over = table.ledger.take_session(SESSION.0, SESSION.1, 1, LATER).await.unwrap();
    assert!(matches!(over, TakeResult::Ended), "{over:?}");
    let table = opened().await;
    taken(&table, 1).await;
    table.ledger.drop_session(SESSION.0, SESSION.1, "not_found").await.unwrap();
    taken(&table, 2).await;
}

#[tokio::test]
async fn a_tool_call_is_claimed_once_and_its_result_kept() {
    let table = opened().await;
    let claim = claimed(&table).await;
    let again = table.ledger.claim_tool(SESSION, "call_1", "orders", "{}", LATER).await.unwrap();
    assert!(matches!(&again, ToolClaimResult::Known(call) if call.result.is_none()), "{again:?}");
    assert!(table.ledger.finish_tool(&claim, &result("sent")).await.unwrap());
    assert!(table.ledger.finish_tool(&claim, &result("sent")).await.unwrap(), "its answer got lost");
    assert!(!table.ledger.finish_tool(&claim, &result("other")).await.unwrap());
    let [call] = &table.ledger.tool_calls(SESSION).await.unwrap()[..] else { panic!("not one") };
    assert_eq!((call.result.clone().unwrap(), call.given), (result("sent"), false));
    table.ledger.tool_given(SESSION, "call_1").await.unwrap();
    assert!(table.ledger.tool_calls(SESSION).await.unwrap()[0].given);
    assert!(!format!("{call:?}").contains("sent"));
}

#[tokio::test]
async fn a_claim_of_a_dead_supervisor_is_taken_over_by_one() {
    let table = opened().await;
    let dead = claimed(&table).await;
    let found = table.ledger.tool_calls(SESSION).await.unwrap().remove(0);
    let ToolClaimResult::Granted(claim) = table.ledger.reclaim_tool(SESSION, &found, LATER).await.unwrap() else {
        panic!("not granted")
    };
    let other = table.ledger.reclaim_tool(SESSION, &found, LATER).await.unwrap();
    assert!(matches!(other, ToolClaimResult::Known(_)));
    assert!(!table.ledger.finish_tool(&dead, &result("late")).await.unwrap());
    assert!(table.ledger.finish_tool(&claim, &result("sent")).await.unwrap());
    assert_eq!(table.ledger.tool_calls(SESSION).await.unwrap()[0].claims, 2);
}

#[tokio::test]
async fn a_claim_that_is_given_back_is_free_at_once() {
    let table = opened().await;
    let claim = claimed(&table).await;
    table.ledger.release_tool(&claim).await.unwrap();
    assert_eq!(table.ledger.tool_calls(SESSION).await.unwrap()[0].run_until, 0);
}

#[tokio::test]
async fn what_is_asked_is_taken_once_and_answered() {
    let table = opened().await;
    let first = table.ledger.ask_session(SESSION, "message", &json!({"text": "Hi"}), "anna").await.unwrap();
    table.ledger.ask_session(SESSION, "mute", &json!(null), "anna").await.unwrap();
    let waiting = table.ledger.waiting_controls(SESSION).await.unwrap();
    assert_eq!(waiting.len(), 2);
    assert_eq!((waiting[0].kind.as_str(), waiting[0].asked_by.as_str()), ("message", "anna"));
    assert!(table.ledger.take_control(SESSION, &first).await.unwrap());
    assert!(!table.ledger.take_control(SESSION, &first).await.unwrap());
    let answer = ControlAnswer { confirmed: false, reason: Some("no".to_owned()) };
    table.ledger.answer_control(SESSION, &first, &answer).await.unwrap();
    assert_eq!(table.ledger.control(SESSION, &first).await.unwrap().unwrap().answer, Some(answer));
    assert_eq!(table.ledger.waiting_controls(SESSION).await.unwrap().len(), 1);
    assert_eq!(table.ledger.controls(SESSION).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_transcript_is_read_in_order_from_a_cursor_on_and_each_line_once() {
    let table = opened().await;
    let line = |at: i64, text: &str, key: &str| TranscriptLine {
        at: now() + at,
        role: "caller".to_owned(),
        text: text.to_owned(),
        key: key.to_owned(),
    };
    for (at, text, key, order) in [
        (1, "One", "item_1", (1, 1)),
        (2, "Two", "item_2", (1, 2)),
        (3, "Two", "item_2", (2, 1)),
        (4, "Three", "item_3", (2, 2)),
    ] {
        table.ledger.write_line(SESSION, &line(at, text, key), order).await.unwrap();
    }
    let (lines, cursor) = table.ledger.transcript(SESSION, None, Some(2)).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["One", "Two"]);
    let (rest, last) = table.ledger.transcript(SESSION, cursor.as_deref(), None).await.unwrap();
    assert_eq!(rest.last().unwrap().text, "Three");
    let (none, same) = table.ledger.transcript(SESSION, last.as_deref(), None).await.unwrap();
    assert!(none.is_empty() && same == last);
    let (all, _) = table.ledger.transcript(SESSION, None, None).await.unwrap();
    assert_eq!(all.len(), 3);
}
