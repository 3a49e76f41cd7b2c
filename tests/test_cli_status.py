"""`status`: the stack at a glance."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.emulator import Emulator
from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from tests.batches import given_up, handled
from tests.cli import Cli
from tests.waiting import wait_until


def count(emulator: Emulator, name: str, value: float, age: timedelta = timedelta(0), **dimensions: str) -> None:
    """Put what CloudWatch counts: of our logs the metrics' lines, of the queues what SQS says."""
    namespace = "AWS/SQS" if "QueueName" in dimensions else "OpenAIWebhooks"
    named = [{"Name": key.replace("_", "."), "Value": said} for key, said in dimensions.items()]
    datum = {"MetricName": name, "Dimensions": named, "Value": value, "Timestamp": datetime.now(UTC) - age}
    emulator.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])


@pytest.fixture
def other_metrics(emulator: Emulator) -> str:
    """Endpoint of a test's own."""
    return f"endpoint-{time.time_ns()}"


@pytest.mark.stack(**unhandled("batch"))
def test_the_state_of_a_stack_is_shown_at_a_glance(stack: Stack, openai: StandIn, other_metrics: str) -> None:
    cli = Cli(stack)
    of = {"stack": stack.name}
    count(stack.emulator, "Deliveries", 77, stack="another", endpoint=other_metrics, outcome="accepted")
    count(stack.emulator, "Deliveries", 40, **of, endpoint=other_metrics, outcome="accepted")
    count(stack.emulator, "Deliveries", 2, timedelta(hours=20), **of, endpoint=other_metrics, outcome="accepted")
    count(stack.emulator, "Deliveries", 3, **of, endpoint=other_metrics, outcome="no_matching_signature")
    count(stack.emulator, "Deliveries", 99, timedelta(hours=30), **of, endpoint=other_metrics, outcome="malformed_body")
    count(stack.emulator, "Handled", 39, **of, category="file", outcome="completed")
    count(stack.emulator, "ApproximateAgeOfOldestMessage", 7300, QueueName=f"{stack.name}-batch")
    (good,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    handled(stack, good)
    openai.fault("GET /v1/files/{id}", "status", status=401)
    (bad,) = openai.deliver("file.processed", {"id": "file-1"}, wait=True)
    given_up(stack, bad)
    openai.deliver("batch.completed", {"id": "batch_1"}, wait=True)
    cli.ok("expect", "batch", "batch_1", "--by", "2h")
    wait_until("the batch's event waits", lambda: stack.messages("batch"))

    found = cli.ok("status")

    assert found["stack"] == {"name": stack.name, "status": "CREATE_COMPLETE"}
    assert [line for line in found["deliveries"] if line["endpoint"] == other_metrics] == [
        {"endpoint": other_metrics, "outcome": "accepted", "count": 42},
        {"endpoint": other_metrics, "outcome": "no_matching_signature", "count": 3},
    ]
    assert {"category": "file", "outcome": "completed", "count": 39} in found["handled"]
    categories = {line["category"]: line for line in found["categories"]}
    assert categories["file"]["last_24_hours"] == {"completed": 1, "in_progress": 0, "failed": 1}
    assert (categories["file"]["enabled"], categories["file"]["dead_letters"]) == (True, 1)
    assert (categories["batch"]["enabled"], categories["batch"]["waiting"]) == (False, 1)
    assert (categories["batch"]["oldest_seconds"], categories["response"]["oldest_seconds"]) == (7300, None)
    assert found["dead_letters"] == [{"category": "file", "reason": "unauthorized", "count": 1}]
    assert [failure["webhook_id"] for failure in found["failures"]] == [bad["webhook_id"]]
    expected = {line["category"]: line for line in found["expectations"]}
    assert (expected["batch"]["waiting"], expected["batch"]["past_due"]) == (1, 0)
    assert found["unreadable"] == []

    text = cli.run("status").out
    for said in ("refused: no_matching_signature", "batch (off)", "2 h", "unauthorized", "1 waiting"):
        assert said in text


def test_a_stack_to_which_nothing_has_happened_has_nothing_to_say(stack: Stack) -> None:
    found = Cli(stack).ok("status")
    assert all(line["waiting"] == line["dead_letters"] == 0 for line in found["categories"])
    assert (found["dead_letters"], found["failures"], found["last_24_hours_is_complete"]) == ([], [], True)
    text = Cli(stack).run("status").out
    assert "Dead letters\n" not in text
    assert "Failed in the last 24 hours" not in text


def test_what_may_not_be_read_keeps_nothing_else_from_being_shown(stack: Stack) -> None:
    result = Cli(stack).run("status", "--json", **reader(stack, "dynamodb:Query"))
    assert result.code == 3
    assert [line["part"] for line in result.json()["unreadable"]] == ["ledger", "expectations"]
    assert all(line["waiting"] == 0 for line in result.json()["categories"])
    assert "dynamodb:Query" in result.error()["hint"]


def test_a_stack_that_is_not_there_is_1_and_bad_usage_2(stack: Stack) -> None:
    missing = Cli(stack).run("status", "--stack", "no-such-stack")
    assert (missing.code, missing.out) == (1, "")
    assert "no-such-stack" in missing.err
    unknown = Cli(stack).run("status", "--all")
    assert (unknown.code, unknown.out) == (2, "")


def reader(stack: Stack, denied: str) -> dict[str, str]:
    """The environment of a user who may do everything but this."""
    iam, name = stack.emulator.client("iam"), f"{stack.name}-reader"
    iam.create_user(UserName=name)
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": denied, "Resource": "*"},
    ]
    policy = f'{{"Version": "2012-10-17", "Statement": {statements}}}'.replace("'", '"')
    iam.put_user_policy(UserName=name, PolicyName="reader", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
