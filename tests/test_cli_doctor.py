"""`doctor`: each thing that is not set up is found, with its fix."""

from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import Stack, new_signing_secret, unhandled
from infra.local.stand_in import API_KEY, StandIn
from tests.cli import Cli
from tests.conftest import MakeStack

HANDLED = unhandled("realtime", "agent", "safety", "file", "fine-tuning")
"""Batches and responses are handled, and what is left for the archive."""
TYPES = (
    "batch.completed,batch.failed,batch.expired,batch.cancelled,"
    "response.completed,response.failed,response.cancelled,response.incomplete"
)

Finding = dict[str, Any]


@pytest.fixture
def stack(make_stack: MakeStack) -> Stack:
    """A stack as `make deploy` leaves it: its secrets are unset."""
    return make_stack(fill_secrets=False, **HANDLED)


@pytest.fixture
def cli(stack: Stack, tmp_path: Path) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack, home=tmp_path)


def set_up(stack: Stack, cli: Cli) -> None:
    """Everything that a person does after `make deploy`."""
    stack.set_secret("api-key", API_KEY)
    stack.set_secret("organization", new_signing_secret())
    cli.ok("endpoints", "create", "--event-types", TYPES)
    cli.ok("alerts", "subscribe", "oncall@example.com", "--yes")


def restrict(openai: StandIn, *readable: str) -> None:
    """Leave the key nothing but reading these."""
    openai.command("POST", "keys", {"key": API_KEY, "permissions": [f"api.{name}.read" for name in readable]})


def findings(cli: Cli, *arguments: str) -> tuple[int, list[Finding]]:
    """The exit code, and what is not in order."""
    result = cli.run("doctor", "--json", *arguments)
    document = result.json()
    found = document["findings"]
    assert document["healthy"] == all(finding["level"] != "error" for finding in found) == (result.code == 0)
    assert all(finding["fix"] for finding in found if finding["level"] != "ok")
    return result.code, [finding for finding in found if finding["level"] != "ok"]


def only(found: list[Finding], check: str) -> Finding:
    """The one finding, of this check."""
    assert [finding["check"] for finding in found] == [check], found
    return found[0]


def test_a_stack_as_deployed_is_told_step_by_step_what_is_left(stack: Stack, cli: Cli) -> None:
    code, found = findings(cli)
    assert code == 1
    assert [(finding["check"], finding["level"]) for finding in found] == [
        ("secret project", "error"),
        ("secret organization", "warning"),
        ("secret api-key", "error"),
        ("alerts", "warning"),
    ]
    assert found[2]["fix"] == "openai-webhooks secret set api-key"
    assert "nobody is told" in found[3]["detail"]

    stack.set_secret("api-key", API_KEY)
    code, found = findings(cli)
    assert [finding["check"] for finding in found] == ["secret project", "secret organization", "endpoint", "alerts"]
    assert found[2]["fix"] == "openai-webhooks endpoints create"

    set_up(stack, cli)
    assert findings(cli, "--deliver") == (0, [])
    shown = cli.run("doctor")
    assert shown.code == 0
    assert shown.out.endswith("Everything is set up.\n")


def test_each_fault_is_found(stack: Stack, openai: StandIn, cli: Cli) -> None:
    set_up(stack, cli)

    restrict(openai, "webhooks", "batches", "files")
    code, found = findings(cli)
    assert (code, only(found, "key for response")["level"]) == (1, "error")
    assert "ResponseEnabled=false" in found[0]["fix"]
    restrict(openai, "responses", "batches", "files")
    code, found = findings(cli)
    assert (code, only(found, "endpoint")["level"]) == (0, "warning")
    assert "api.webhooks.read" in found[0]["fix"]
    openai.command("DELETE", "keys")

    stack.set_secret("api-key", "sk-another")
    code, found = findings(cli)
    assert (code, only(found, "key")["fix"]) == (1, "openai-webhooks secret set api-key")
    stack.set_secret("api-key", API_KEY)

    cli.ok("endpoints", "update", "--event-types", "batch.completed,agent.session.failed")
    code, found = findings(cli)
    assert code == 0
    assert ["batch.failed" in found[0]["detail"], "agent.session.failed" in found[1]["detail"]] == [True, True]
    cli.ok("endpoints", "update", "--event-types", TYPES)

    [endpoint] = cli.lines("endpoints", "list")
    cli.ok("endpoints", "update", endpoint["id"], "--url", f"{stack.url()}/")
    code, found = findings(cli)
    assert code == 1
    assert only(found, "endpoint")["fix"] == f"openai-webhooks endpoints update {endpoint['id']} --url {stack.url()}"
    cli.ok("endpoints", "update", endpoint["id"], "--url", stack.url())

    openai.sdk().webhooks.create(name="b", url=stack.url(), event_types=["batch.failed"])
    code, found = findings(cli)
    assert code == 1
    assert "both deliver" in found[0]["detail"]
    cli.ok("endpoints", "delete", cli.lines("endpoints", "list")[0]["id"], "--yes")

    stack.emulator.client("sqs").send_message(QueueUrl=stack.dead_letter_queue_url("batch"), MessageBody="{}")
    stack.send("agent", "{}", {})
    code, found = findings(cli)
    assert code == 0
    assert [finding["check"] for finding in found] == ["queue batch", "queue agent"]
    assert "dlq redrive --category batch" in found[0]["fix"]
    assert "AgentEnabled=true" in found[1]["fix"]

    # It is a secret, but not the endpoint's: only OpenAI's own delivery shows that.
    stack.set_secret("project", new_signing_secret())
    stack.set_secret("project", new_signing_secret())
    assert [finding["check"] for finding in findings(cli)[1]] == ["queue batch", "queue agent"]
    code, found = findings(cli, "--deliver")
    assert (code, found[0]["check"]) == (1, "OpenAI's delivery")
    assert "endpoints rotate whe_" in found[0]["fix"]

    stack.set_secret("project", "pasted wrongly")
    code, found = findings(cli)
    assert (code, found[0]["check"]) == (1, "secret project")
    assert "pasted" not in cli.run("doctor").out


def test_nobody_who_is_told_and_what_is_overdue_are_warnings(stack: Stack, cli: Cli) -> None:
    set_up(stack, cli)
    stack.expect("batch", "batch_in_time", due_in=3600)
    assert findings(cli) == (0, [])

    for number in range(7):
        stack.expect("response", f"resp_{number}", due_in=-60 - number)
    stack.expect("batch", "batch_late", due_in=-60)
    sns = stack.emulator.client("sns")
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=stack.outputs["AlertsTopicArn"])["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    code, found = findings(cli)
    assert (code, [(one["check"], one["level"]) for one in found]) == (
        0,
        [("alerts", "warning"), ("expectations", "warning")],
    )
    assert "openai-webhooks alerts subscribe ADDRESS" in found[0]["fix"]
    named = [word for word in found[1]["detail"].split() if word.startswith(("resp_", "batch_"))]
    assert named == ["resp_6", "resp_5", "resp_4", "resp_3", "resp_2", "batch_late"]
    assert "more of response" in found[1]["detail"]


def test_a_delivery_that_the_stack_refuses_is_an_error(stack: Stack, cli: Cli) -> None:
    set_up(stack, cli)
    stack.set_environment("verifier", SIGNING_SECRETS="{}")
    code, found = findings(cli, "--deliver")
    assert code == 1
    assert [(finding["check"], finding["level"]) for finding in found] == [
        ("OpenAI's delivery", "error"),
        ("delivery", "error"),
    ]


def test_no_stack_is_1_and_no_access_is_3(stack: Stack, tmp_path: Path) -> None:
    cli = Cli(stack, home=tmp_path)
    code, found = findings(cli, "--stack", "no-such-stack")
    assert code == 1
    assert "make deploy" in only(found, "stack")["fix"]
    refused = cli.run("doctor", AWS_ACCESS_KEY_ID="AKIAUNKNOWN", AWS_SECRET_ACCESS_KEY="wrong")
    assert refused.code == 3, refused
    nowhere = cli.run("doctor", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert nowhere.code == 3
    assert "no-such-stack" not in nowhere.err
    assert cli.run("doctor", "--region", "").code in (2, 3)
    nobody = cli.run("doctor", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert nobody.code == 3
    assert "no AWS credentials" in nobody.err
    assert cli.run("doctor", "--no-such-option").code == 2
