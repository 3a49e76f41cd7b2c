"""The official SDK with the stand-in instead of OpenAI: agents."""

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.beta.agents.sessions import Turn
from openai.types.webhooks import (
    AgentEnvironmentReadyWebhookEvent,
    AgentSessionActionRequiredWebhookEvent,
    AgentSessionCreatedWebhookEvent,
    AgentSessionIdleWebhookEvent,
)

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
CALL = {"type": "function_call", "call_id": "call_1", "turn_id": "turn_1", "name": "pay", "arguments": {"amount": 3}}


def test_a_session_is_read_in_full(openai: StandIn, client: OpenAI) -> None:
    usage = {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    }
    fields = {"metadata": {"team": "night shift"}, "usage": usage}
    created = openai.agent_session(environment_type="self_hosted", fields=fields)["session"]
    session = client.beta.agents.sessions.retrieve(created["id"])
    assert (session.status, session.error, session.metadata) == ("idle", None, {"team": "night shift"})
    assert session.usage is not None
    assert session.usage.total_tokens == 12
    assert session.environment.type == "self_hosted"
    assert session.environment.remote_url.startswith("https://")
    assert session.agent.model == "gpt-6-luna"
    assert (session.model_extra, session.agent.model_extra, session.environment.model_extra) == ({}, {}, {})


def test_an_environment_is_read_in_full(openai: StandIn, client: OpenAI) -> None:
    created = openai.agent_environment("ready")["environment"]
    environment = client.beta.agents.environments.retrieve(created["id"])
    assert (environment.status, environment.type, environment.model_extra) == ("ready", "openai_hosted", {})


def test_every_kind_of_action_is_read(openai: StandIn, client: OpenAI) -> None:
    call = {"type": "mcp_tool_call", "server_label": "bank", "name": "pay", "arguments": {}, "message": "May I?"}
    origin = {"type": "browser_origin_access", "origin": "https://example.com", "reason": None}
    actions = [
        CALL,
        {"type": "environment_connection", "environment_id": "env_1"},
        {"type": "mcp_approval_request", "request_id": "r1", "turn_id": "turn_1", "request": call},
        {"type": "computer_use_approval_request", "request_id": "r2", "turn_id": "turn_1", "request": origin},
    ]
    id = openai.agent_session()["session"]["id"]
    openai.move_agent_session(id, "requires_action", required_actions=actions)
    session = client.beta.agents.sessions.retrieve(id)
    assert session.status == "requires_action"
    assert [action.to_dict() for action in session.required_actions] == actions
    assert [action.model_extra for action in session.required_actions] == [{}] * 4


def test_turns_and_sessions_are_listed_newest_first(openai: StandIn, client: OpenAI) -> None:
    ids = [openai.agent_session()["session"]["id"] for _ in range(3)]
    error = {"code": "sandbox_error", "message": "Oh."}
    openai.move_agent_session(ids[0], "idle", turn={"status": "completed"})
    openai.move_agent_session(ids[0], "idle", turn={"status": "failed", "error": error})
    assert [session.id for session in client.beta.agents.sessions.list(limit=2)] == ids[::-1]
    turn = client.beta.agents.sessions.turns.list(ids[0], limit=1).data[0]
    assert isinstance(turn, Turn)
    assert turn.error is not None
    assert (turn.status, turn.error.code, turn.session_id, turn.model_extra) == ("failed", "sandbox_error", ids[0], {})


def test_a_function_s_result_is_accepted_once(openai: StandIn, client: OpenAI) -> None:
    id = openai.agent_session()["session"]["id"]
    openai.move_agent_session(id, "requires_action", required_actions=[CALL])
    for _ in range(2):
        client.beta.agents.sessions.events.create(
            id,
            events=[
                {
                    "type": "agent.session.input.tool_result",
                    "call_id": "call_1",
                    "turn_id": "turn_1",
                    "success": True,
                    "output": "paid",
                }
            ],
            idempotency_key="call_1",
        )
    session = client.beta.agents.sessions.retrieve(id)
    assert (session.status, session.required_actions) == ("in_progress", [])
    assert len(openai.command("GET", f"agents/sessions/{id}/events")["events"]) == 1
    with pytest.raises(BadRequestError):
        client.beta.agents.sessions.events.create(id, events=[{"type": "agent.session.input.message", "input": []}])


def test_a_call_without_the_beta_header_is_refused(openai: StandIn, client: OpenAI) -> None:
    id = openai.agent_session()["session"]["id"]
    with pytest.raises(BadRequestError, match="OpenAI-Beta"):
        client.beta.agents.sessions.retrieve(id, extra_headers={"OpenAI-Beta": "agents=v0"})


def test_an_unknown_id_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        client.beta.agents.sessions.retrieve("sess_0")
    with pytest.raises(NotFoundError):
        client.beta.agents.environments.retrieve("env_0")


def test_each_event_unwraps(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)

    def unwrapped(count: int) -> object:
        delivery = receiver.wait_for(count)[-1]
        return client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)

    id = openai.agent_session(environment_type="self_hosted")["session"]["id"]
    created = unwrapped(1)
    assert isinstance(created, AgentSessionCreatedWebhookEvent)
    assert created.data.connect is not None
    assert created.data.environment_type == "self_hosted"
    openai.move_agent_session(id, "requires_action", required_actions=[CALL])
    required = unwrapped(2)
    assert isinstance(required, AgentSessionActionRequiredWebhookEvent)
    assert (required.data.id, required.data.required_action.type) == (id, "function_call")
    openai.move_agent_session(id, "idle", turn={"status": "completed"})
    idle = unwrapped(3)
    assert isinstance(idle, AgentSessionIdleWebhookEvent)
    assert idle.data.environment_id == created.data.environment_id
    openai.agent_environment("ready")
    assert isinstance(unwrapped(4), AgentEnvironmentReadyWebhookEvent)
