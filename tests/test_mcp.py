"""`mcp`: the commands as tools, by the official Python client."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from infra.local.stack import CATEGORIES, Stack, unhandled
from infra.local.stand_in import StandIn
from tests.batches import finish, given_up, handled, new_batch
from tests.cli import BINARY
from tests.waiting import wait_until

ONLY_BATCHES = unhandled(*(name for name in CATEGORIES if name != "batch"))
ONLY_FILES = unhandled(*(name for name in CATEGORIES if name != "file"))


@asynccontextmanager
async def served(stack: Stack, *arguments: str) -> AsyncIterator[ClientSession]:
    """A client's session with `openai-webhooks mcp` on the stack."""
    command = StdioServerParameters(command=str(BINARY), args=["mcp", *arguments], env=stack.command_environment())
    async with stdio_client(command) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield session


async def called(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    """Result of a tool that succeeds: its document, which its text repeats."""
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, result
    assert result.structured_content is not None
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


@pytest.mark.stack(**ONLY_BATCHES)
def test_an_agent_finds_out_why_a_batch_failed(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    openai.fault("GET /v1/batches/{id}", "status", status=401)
    delivery = finish(openai, batch_id)
    given_up(stack, delivery)

    async def ask() -> None:
        async with served(stack) as session:
            status = await called(session, "status")
            assert status["stack"]["name"] == stack.name
            events = await called(session, "events_list", object=batch_id, since="1h")
            (event,) = events["items"]
            shown = await called(session, "events_show", id=event["webhook_id"])
            assert "unauthorized" in json.dumps(shown)
            (letter,) = (await called(session, "dlq_list", category="batch"))["items"]
            assert letter["reason"] == "unauthorized"
            assert (await called(session, "audit"))["closed"] is True
            batches = await called(session, "batch_list")
            assert [(one["batch_id"], one["status"]) for one in batches["items"]] == [(batch_id, "completed")]
            assert batches["more"] is False
            assert (await called(session, "expect_list", overdue=True))["items"] == []
            doctor = await called(session, "doctor")
            assert doctor["healthy"] is False

    anyio.run(ask)


@pytest.mark.stack(**unhandled())
def test_nothing_that_writes_is_served_unless_it_is_allowed(stack: Stack) -> None:
    async def ask() -> None:
        async with served(stack) as session:
            tools = (await session.list_tools()).tools
            assert all(tool.annotations.read_only_hint for tool in tools)
            assert {tool.name for tool in tools} == {
                *("status", "doctor", "audit", "events_list", "events_show", "dlq_list", "dlq_show"),
                *("batch_list", "expect_list"),
            }
            with pytest.raises(Exception, match="no tool dlq_redrive"):
                await session.call_tool("dlq_redrive", {"dry_run": False})
        async with served(stack, "--allow-writes") as session:
            writing = [tool for tool in (await session.list_tools()).tools if not tool.annotations.read_only_hint]
            assert {tool.name for tool in writing} == {"events_replay", "dlq_redrive", "batch_cancel"}
            for tool in writing:
                assert tool.input_schema["properties"]["dry_run"]["default"] is True

    anyio.run(ask)


@pytest.mark.stack(**ONLY_FILES)
def test_what_writes_does_a_dry_run_first(stack: Stack, openai: StandIn) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401)
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="x")["id"]}, wait=True)
    given_up(stack, delivery)
    openai.clear_faults()

    async def ask() -> None:
        async with served(stack, "--allow-writes") as session:
            assert (await called(session, "dlq_redrive", category="file"))["dry_run"] is True
            wait_until(
                "the letter is seen again", lambda: [one.visible for one in stack.dead_letters("file")] == [True]
            )
            await called(session, "dlq_redrive", category="file", dry_run=False)

    anyio.run(ask)
    assert stack.dead_letters("file") == []
    assert handled(stack, delivery)["state"] == "completed"


@pytest.mark.stack(**unhandled())
def test_a_refused_argument_is_told_and_a_failed_command_is_an_error_with_its_next_step(stack: Stack) -> None:
    async def ask() -> None:
        async with served(stack) as session:
            with pytest.raises(Exception, match="events_list has no parameter stack"):
                await session.call_tool("events_list", {"stack": "prod"})
            unusable = await session.call_tool("events_list", {"since": "yesterday evening"})
            assert unusable.is_error
            missing = await session.call_tool("events_show", {"id": "wh_none"})
            assert missing.is_error
            assert {"error", "hint"} <= json.loads(missing.content[0].text).keys()

    anyio.run(ask)
