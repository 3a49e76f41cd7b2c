"""Agents: the states of sessions and environments, required actions, and alerts."""

import json
from typing import Any

import pytest

from infra.local.stack import Item, Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Outcome, Watch
from tests.batches import given_up, handled, of_age, tried
from tests.waiting import stays, wait_until

CALL = {"type": "function_call", "call_id": "call_1", "turn_id": "turn_1", "name": "pay", "arguments": {"amount": 3}}
APPROVAL = {
    "type": "mcp_approval_request",
    "request_id": "approval_1",
    "turn_id": "turn_1",
    "request": {
        "type": "mcp_tool_call",
        "server_label": "bank",
        "name": "transfer",
        "arguments": {"to": "a private person"},
        "message": "May I?",
    },
}
URL_MARK = "let-me-in"
"""The credential in the stand-in's URLs for connecting an environment."""


def session(openai: StandIn, **options: Any) -> str:
    """Create a session without a webhook and return its id."""
    return openai.agent_session(deliver=False, **options)["session"]["id"]


def moved(openai: StandIn, id: str, status: str, **options: Any) -> Json:
    """Move the session to another status and return the delivery of its webhook."""
    (delivery,) = openai.move_agent_session(id, status, **options)["deliveries"]
    return delivery


def job(stack: Stack, id: str) -> Item:
    found = stack.job("agent", id)
    assert found is not None
    return found


def stored(stack: Stack, id: str) -> Json:
    """The artifact that the job names."""
    (key,) = job(stack, id)["artifacts"]
    assert key.rpartition("/")[0] in (f"agent/session/{id}", f"agent/environment/{id}")
    return json.loads(stack.artifact(key) or b"")


def published(watch: Watch, event_type: str) -> Outcome:
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes(event_type))
    return outcome


def test_every_state_of_a_session_is_recorded(stack: Stack, openai: StandIn, watch: Watch) -> None:
    created = openai.agent_session(environment_type="openai_hosted", fields={"metadata": {"team": "a"}})
    id, environment_id = created["session"]["id"], created["session"]["environment"]["id"]
    handled(stack, created["deliveries"][0])
    assert (job(stack, id)["status"], job(stack, id)["summary"]["environment_id"]) == ("idle", environment_id)
    assert job(stack, id)["summary"]["metadata"] == {"team": "a"}

    handled(stack, moved(openai, id, "in_progress"))
    assert job(stack, id)["status"] == "in_progress"

    handled(stack, moved(openai, id, "idle", turn={"status": "completed"}))
    assert job(stack, id)["status"] == "idle"
    outcome = published(watch, "agent.session.idle")
    assert outcome.detail["summary"]["last_turn"]["status"] == "completed"
    assert outcome.detail["artifacts"] == job(stack, id)["artifacts"]
    assert stored(stack, id)["status"] == "idle"
    assert (job(stack, id).get("terminal"), watch.alerts()) == (0, [])


def test_an_idle_session_whose_last_turn_failed_makes_an_alert(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)
    error = {"code": "sandbox_error", "message": "The disk is full."}

    handled(stack, moved(openai, id, "idle", turn={"status": "failed", "error": error}))

    last_turn = published(watch, "agent.session.idle").detail["summary"]["last_turn"]
    assert (last_turn["status"], last_turn["error"]) == ("failed", error)
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"A turn of agent session {id} failed"
    assert "sandbox_error: The disk is full." in alert.message
    assert alert.attributes["severity"] == "warning"


def test_a_failed_session_makes_one_alert_with_its_reason(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)
    openai.move_agent_session(id, "failed", error="Too much was asked.", deliver=False)
    deliveries = openai.deliver("agent.session.failed", {"id": id, "environment_type": "none"}, copies=5)

    handled(stack, deliveries[0])

    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"Agent session {id} failed"
    assert "Too much was asked." in alert.message
    assert (job(stack, id)["status"], job(stack, id)["terminal"]) == ("failed", 1)
    assert job(stack, id)["error"] == "Too much was asked."
    stays("there is one alert", lambda: len(watch.alerts()) == 1 == len(watch.outcomes()), seconds=1)
    assert openai.calls("GET", f"/v1/agents/sessions/{id}") == 1


def test_a_function_call_is_published_with_the_fields_to_answer(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)

    handled(stack, moved(openai, id, "requires_action", required_actions=[CALL]))

    outcome = published(watch, "agent.session.action_required")
    assert (outcome.detail["status"], outcome.detail["object_id"]) == ("requires_action", id)
    (action,) = outcome.detail["summary"]["required_actions"]
    assert action == CALL
    openai.sdk().beta.agents.sessions.events.create(
        id,
        events=[
            {
                "type": "agent.session.input.tool_result",
                "call_id": action["call_id"],
                "turn_id": action["turn_id"],
                "success": True,
                "output": "paid",
            }
        ],
        idempotency_key=action["call_id"],
    )
    wait_until("the session continues", lambda: job(stack, id)["status"] == "in_progress")
    assert watch.alerts() == []


def test_an_approval_is_published_and_people_are_alerted(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)

    handled(stack, moved(openai, id, "requires_action", required_actions=[APPROVAL]))

    assert published(watch, "agent.session.action_required").detail["summary"]["required_actions"] == [APPROVAL]
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"Agent session {id} waits for a decision"
    assert "may the tool transfer of the MCP server bank be called?" in alert.message
    assert "private" not in alert.message


def test_large_arguments_are_in_the_artifact_only(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)
    large = {**CALL, "arguments": {"text": "x" * 100_000}}

    handled(stack, moved(openai, id, "requires_action", required_actions=[large]))

    (action,) = published(watch, "agent.session.action_required").detail["summary"]["required_actions"]
    assert action == {**{name: CALL[name] for name in ("type", "call_id", "turn_id", "name")}, "incomplete": True}
    assert stored(stack, id)["required_actions"] == [large]


def test_an_action_that_is_gone_is_not_published(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)
    openai.move_agent_session(id, "idle", deliver=False)

    (delivery,) = openai.deliver("agent.session.action_required", {"id": id, "required_action": {"type": "dance"}})
    event = handled(stack, delivery)

    assert "the action is gone" in event["outcome"]["note"]
    outcome = published(watch, "agent.session.action_required")
    assert (outcome.detail["status"], outcome.detail["summary"]["required_actions"]) == ("idle", [])


def test_the_url_of_an_environment_is_in_the_artifact_only(stack: Stack, openai: StandIn, watch: Watch) -> None:
    created = openai.agent_session(environment_type="self_hosted")
    id, environment_id = created["session"]["id"], created["session"]["environment"]["id"]
    handled(stack, created["deliveries"][0])
    action = {"type": "environment_connection", "environment_id": environment_id}
    handled(stack, moved(openai, id, "requires_action", required_actions=[action]))

    (outcome,) = wait_until("it is published", lambda: watch.outcomes("agent.session.action_required"))
    assert outcome.detail["summary"]["required_actions"] == [action]
    assert URL_MARK in json.dumps(stored(stack, id))
    told = [str(watch.outcomes()), str(watch.alerts()), str(job(stack, id)), *stack.logs("agent")]
    assert not [text for text in told if URL_MARK in text]


@pytest.mark.parametrize(
    ("status", "terminal", "alerts"), [("ready", 0, 0), ("suspended", 0, 0), ("failed", 1, 1), ("expired", 1, 1)]
)
def test_an_environment_is_recorded_and_its_end_makes_an_alert(
    stack: Stack, openai: StandIn, watch: Watch, status: str, terminal: int, alerts: int
) -> None:
    answer = openai.agent_environment(status)
    id = answer["environment"]["id"]

    handled(stack, answer["deliveries"][0])

    assert (job(stack, id)["status"], job(stack, id)["terminal"]) == (status, terminal)
    assert stored(stack, id)["status"] == status
    subjects = [alert.subject for alert in watch.alerts()]
    assert subjects == [f"Agent environment {id} is {status}"] * alerts


def test_an_older_event_after_a_newer_one_changes_nothing(stack: Stack, openai: StandIn, watch: Watch) -> None:
    id = session(openai)
    handled(stack, moved(openai, id, "idle", turn={"status": "completed"}))

    data = {"id": id, "environment_type": "none"}
    (late,) = openai.deliver("agent.session.in_progress", data, created_at=1_795_000_000)
    handled(stack, late)

    assert job(stack, id)["status"] == "idle"
    assert published(watch, "agent.session.in_progress").detail["status"] == "idle"
    assert stored(stack, id)["status"] == "idle"


def test_a_failure_that_is_ahead_of_the_session_is_retried(stack: Stack, openai: StandIn) -> None:
    id = session(openai)
    (delivery,) = openai.deliver("agent.session.failed", {"id": id, "environment_type": "none"})

    assert "the session is still idle" in tried(stack, delivery)["error"]["message"]
    openai.move_agent_session(id, "failed", deliver=False)
    handled(stack, delivery)

    assert job(stack, id)["terminal"] == 1


@pytest.mark.parametrize(
    ("event_type", "id", "status"),
    [
        ("agent.session.idle", "sess_gone", "not_found"),
        ("agent.environment.ready", "env_gone", "not_found"),
        ("agent.turn.completed", "sess_gone", "not_found"),
        ("agent.published", "agent_1", "recorded"),
    ],
)
def test_a_missing_object_and_an_unknown_type_are_recorded(
    stack: Stack, openai: StandIn, watch: Watch, event_type: str, id: str, status: str
) -> None:
    (delivery,) = openai.deliver(event_type, {"id": id}, created_at=of_age())

    event = handled(stack, delivery)

    assert (event["outcome"]["status"], published(watch, event_type).detail["object_id"]) == (status, id)
    assert stack.artifacts("agent/") == {}
    wait_until("people are told of what is missing", lambda: len(watch.alerts()) == (status == "not_found"))


def test_a_refused_key_is_not_taken_for_a_missing_session(stack: Stack, openai: StandIn) -> None:
    openai.fault("GET /v1/agents/sessions/{id}", "status", status=401)
    (delivery,) = openai.deliver("agent.session.idle", {"id": "sess_1", "environment_type": "none"})

    assert given_up(stack, delivery)["error"]["reason"] == "unauthorized"
