"""`models`, `alerts`, `expect list|show|delete`: what is in production, who is told, and what is expected."""

import json

import pytest

from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import handled
from tests.cli import Cli
from tests.waiting import wait_until

NOTHING_HANDLED = unhandled()


@pytest.fixture
def cli(stack: Stack) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack)


def put_model(stack: Stack, alias: str, model: str, description: str = "") -> None:
    name = f"/{stack.name}/models/{alias}"
    stack.emulator.client("ssm").put_parameter(
        Name=name, Value=model, Type="String", Overwrite=True, Description=description
    )


def model_of(stack: Stack, alias: str) -> str:
    return stack.emulator.client("ssm").get_parameter(Name=f"/{stack.name}/models/{alias}")["Parameter"]["Value"]


def test_a_model_is_listed_and_rolled_back_with_consent_alone(stack: Stack, openai: StandIn, cli: Cli) -> None:
    assert cli.lines("models", "list") == []
    known = [tuned(openai) for _ in range(2)]
    put_model(stack, "support", known[0], "Fine-tuned model: job=a finished_at=1 shutdown_date=2027-01-14")
    put_model(stack, "support", known[1], "Fine-tuned model: job=b finished_at=2")

    (line,) = cli.lines("models", "list", "--history")
    assert (line["alias"], line["model"], line["version"], line["previous"]) == ("support", known[1], 2, known[0])
    assert [entry["model"] for entry in line["history"]] == [known[1], known[0]]
    assert known[0] in cli.run("models", "list").out

    assert cli.run("models", "rollback", "support").code == 2
    assert cli.ok("models", "rollback", "support", "--dry-run")["model"] == known[0]
    assert model_of(stack, "support") == known[1]
    assert cli.ok("models", "rollback", "support", "--yes")["version"] == 3
    assert model_of(stack, "support") == known[0]
    assert cli.ok("models", "promote", "support", known[1], "--yes")["previous"] == known[0]
    assert cli.ok("models", "promote", "support", known[1], "--yes")["changed"] is False
    assert cli.ok("models", "rollback", "support", "--to", "1", "--yes")["model"] == known[0]
    missing = cli.run("models", "promote", "support", "ft:nobody-has-it", "--yes")
    assert (missing.code, "OpenAI has no model" in missing.err) == (1, True)
    assert model_of(stack, "support") == known[0]


def tuned(openai: StandIn) -> str:
    """A model that OpenAI has."""
    sdk = openai.sdk()
    file = sdk.files.create(file=("train.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
    job = sdk.fine_tuning.jobs.create(model="gpt-4.1-mini-2025-04-14", training_file=file.id)
    return openai.finish_fine_tuning(job.id)["job"]["fine_tuned_model"]


def test_people_are_subscribed_listed_and_tested(stack: Stack, watch: Watch) -> None:
    cli = Cli(stack)
    assert [line["protocol"] for line in cli.lines("alerts", "list")] == ["sqs"], "the watch of this test"
    assert cli.ok("alerts", "subscribe", "oncall@example.com", "--dry-run")["protocol"] == "email"
    assert len(cli.lines("alerts", "list")) == 1
    cli.ok("alerts", "subscribe", "oncall@example.com", "--severity", "critical", "--category", "batch", "--yes")
    found = {line["protocol"]: line for line in cli.lines("alerts", "list")}
    assert found["email"]["endpoint"] == "oncall@example.com"

    assert cli.run("alerts", "test").code == 2
    sent = cli.ok("alerts", "test", "--severity", "critical", "--yes")
    assert sent["severity"] == "critical"
    (alert,) = wait_until("the test arrives", watch.alerts)
    assert (alert.subject, alert.attributes["severity"]) == (f"Test of the alerts of {stack.name}", "critical")


@pytest.mark.stack(**NOTHING_HANDLED)
def test_nobody_subscribed_is_said_aloud(stack: Stack, cli: Cli) -> None:
    result = cli.run("alerts", "list")
    assert (result.code, "Nobody is told of failures" in result.err) == (1, True)
    test = cli.run("alerts", "test", "--yes")
    assert (test.code, "alerts subscribe" in test.err) == (1, True)


def test_expectations_are_listed_shown_and_deleted(stack: Stack, openai: StandIn, cli: Cli) -> None:
    assert cli.lines("expect", "list") == []
    cli.ok("expect", "response", "resp_1", "--by", "2h", "--context", '{"order": 7}')
    stack.expect("batch", "batch_1", due_in=-60)
    found = wait_until("both are in the index", lambda: len(got := cli.lines("expect", "list")) == 2 and got)
    assert [(line["object_id"], line["overdue"]) for line in found] == [("batch_1", True), ("resp_1", False)]
    assert [line["object_id"] for line in cli.lines("expect", "list", "--overdue")] == ["batch_1"]
    assert [line["object_id"] for line in cli.lines("expect", "list", "--kind", "response")] == ["resp_1"]
    assert "overdue" in cli.run("expect", "list").out

    shown = cli.ok("expect", "show", "response", "resp_1")
    assert json.loads(shown["context"]) == {"order": 7}
    assert "order" in cli.run("expect", "show", "response", "resp_1").out
    assert cli.run("expect", "delete", "response", "resp_1").code == 2
    cli.ok("expect", "delete", "response", "resp_1", "--dry-run")
    assert len(cli.lines("expect", "list")) == 2
    cli.ok("expect", "delete", "response", "resp_1", "--yes")
    wait_until("it is expected no more", lambda: len(cli.lines("expect", "list")) == 1)
    # Its context stays for its outcome.
    assert "context" in cli.ok("expect", "show", "response", "resp_1")
    again = cli.run("expect", "delete", "response", "resp_1", "--yes")
    assert (again.code, "not expected" in again.err) == (1, True)
    assert cli.run("expect", "show", "batch", "batch_nobody").code == 1


def test_an_object_that_is_expected_is_found_by_the_beginning_of_its_id(stack: Stack, cli: Cli) -> None:
    for object_id in ("batch_one1", "batch_one2", "batch_two"):
        stack.expect("batch", object_id, due_in=3600)
    wait_until("all are in the index", lambda: len(cli.lines("expect", "list")) == 3)
    assert cli.ok("expect", "show", "batch", "batch_tw")["object_id"] == "batch_two"
    assert cli.ok("expect", "delete", "batch", "batch_tw", "--yes")["object_id"] == "batch_two"
    assert "waiting" not in (stack.job("batch", "batch_two") or {"waiting": "no item"})
    several = cli.run("expect", "show", "batch", "batch_one")
    assert (several.code, "batch_one1, batch_one2" in several.err) == (2, True)
    assert cli.ok("expect", "show", "batch", "batch_one1")["object_id"] == "batch_one1"
    assert cli.run("expect", "show", "batch", "batch_t").code == 1, "too short"


@pytest.mark.stack(EventRetentionDays="100")
def test_events_are_kept_for_as_long_as_the_stack_says(stack: Stack, openai: StandIn) -> None:
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    event = handled(stack, delivery)
    kept = (event["expires_at"] - event["received_at"] / 1000) / 86_400
    assert round(kept) == 100
    (job,) = stack.ledger("job")
    assert round((job["expires_at"] - event["received_at"] / 1000) / 86_400) == 100


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("models", "promote", "a/b", "ft:x", "--yes"), 2, "is not an alias"),
        (("models", "promote", "a", "ft:x y", "--yes"), 2, "is not the name of a model"),
        (("models", "rollback", "nobody", "--yes"), 1, "models list"),
        (("alerts", "subscribe", "nonsense", "--yes"), 2, "neither an e-mail address"),
        (("alerts", "subscribe", "http://example.com", "--yes"), 2, "neither an e-mail address"),
        (("alerts", "test", "--severity", "loud"), 2, "critical"),
        (("expect", "list", "--kind", "file"), 2, "fine-tuning"),
        (("expect", "show", "batch", "a b"), 2, "not an OpenAI object id"),
        (("expect",), 2, "expect"),
    ],
)
@pytest.mark.stack(**NOTHING_HANDLED)
def test_bad_usage_is_told(stack: Stack, cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cli.run(*arguments)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
