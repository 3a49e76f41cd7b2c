"""Rotations of the signing secret, whole, repeated and cut off, while OpenAI goes on delivering."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.between import Between, Request
from tests.permissions import take_away
from tests.registering import Registering
from tests.rotations import EVENT_TYPE, STEPS, StepError, rotated
from tests.waiting import wait_until

PER_SECOND = 20
ROTATE = "POST /v1/webhook_endpoints/{id}/rotate_secret"


@contextmanager
def steady_deliveries(openai: StandIn) -> Iterator[Callable[[], None]]:
    """Deliver twenty events per second meanwhile. The answer waits until twenty more were sent."""
    ended, count = threading.Event(), [0]
    failures: list[Exception] = []

    def deliver() -> None:
        try:
            while not ended.wait(1 / PER_SECOND):
                openai.deliver(EVENT_TYPE, {"id": f"batch_{count[0]}"})
                count[0] += 1
        except Exception as failure:
            failures.append(failure)

    def twenty_more() -> None:
        enough = count[0] + PER_SECOND
        wait_until("twenty more were sent", lambda: count[0] >= enough or failures)

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield twenty_more
    finally:
        ended.set()
        thread.join()
    assert failures == []


def end_the_lease(stack: Stack) -> None:
    """Let the time pass that the lease of a try takes that died."""
    stack.emulator.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key={"pk": {"S": f"lease#rotate/{stack.secret_id('project')}"}, "sk": {"S": "lease"}},
        UpdateExpression="SET lease_until = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )


def is_storing(request: Request) -> bool:
    return request.operation == "secretsmanager.PutSecretValue" and b'"AWSPENDING"' in request.body


def test_no_delivery_of_a_steady_stream_is_refused_while_the_secret_is_rotated(
    registering: Registering, openai: StandIn
) -> None:
    it = rotated(registering)
    (old,) = it.openai_signs_with()

    with steady_deliveries(openai) as twenty_more:
        twenty_more()
        version = it.begin()
        for step in STEPS:
            it.step(step, version)
            twenty_more()
        assert it.openai_signs_with()[1] == old
        it.let_a_day_pass()
        twenty_more()

    attempts = it.attempts()
    assert set(attempts) == {200}
    assert len(attempts) >= (2 + len(STEPS)) * PER_SECOND
    assert it.openai_signs_with() == [it.in_use()]
    assert it.in_use() != old


@pytest.mark.parametrize("done", range(len(STEPS)), ids=["nothing", *STEPS[:-1]])
def test_a_rotation_that_ends_after_a_step_refuses_nothing_and_is_ended_by_the_next_try(
    registering: Registering, openai: StandIn, done: int
) -> None:
    it = rotated(registering)
    version = it.begin()
    for step in STEPS[:done]:
        it.steps(version, step, step)
    assert it.delivered() == 200
    if done:
        it.let_a_day_pass()
        assert it.delivered() == 200

    it.steps(version)
    it.steps(version)

    assert it.delivered() == 200
    it.let_a_day_pass()
    assert it.delivered() == 200
    assert it.openai_signs_with() == [it.in_use()]
    assert sum(request["count"] for request in openai.requests() if request["path"].endswith("rotate_secret")) == 1


def test_a_secret_whose_answer_gets_lost_is_replaced_by_the_next_try(registering: Registering, openai: StandIn) -> None:
    it = rotated(registering)
    version = it.begin()
    openai.fault(ROTATE, "cut", after_bytes=10, times=1)

    with pytest.raises(StepError, match="openai"):
        it.step("createSecret", version)

    assert len(it.openai_signs_with()) == 2
    assert it.delivered() == 200
    it.steps(version)
    assert it.delivered() == 200
    it.let_a_day_pass()
    assert it.delivered() == 200
    assert it.openai_signs_with() == [it.in_use()]


def test_a_secret_that_cannot_be_stored_is_lost_and_replaced_by_the_next_try(
    registering: Registering, openai: StandIn
) -> None:
    it = rotated(registering)
    version = it.begin()
    with Between(it.stack) as between:
        between.take("rotate")
        refused = b'{"__type": "AccessDeniedException", "message": "refused on purpose"}'
        between.refuse(is_storing, 1, status=400, answer=refused)

        with pytest.raises(StepError, match="secret_lost"):
            it.step("createSecret", version)

        assert len(between.refused) == 1
        assert it.delivered() == 200
        it.steps(version)
    assert it.delivered() == 200
    assert it.openai_signs_with()[0] == it.in_use()


def test_a_process_that_is_killed_leaves_its_lease_and_the_next_try_ends_the_rotation(
    registering: Registering, openai: StandIn
) -> None:
    it = rotated(registering)
    version = it.begin()
    openai.fault(ROTATE, "stall", times=1)
    failed: list[BaseException] = []

    def create() -> None:
        try:
            it.step("createSecret", version)
        except Exception as failure:
            failed.append(failure)

    thread = threading.Thread(target=create)
    thread.start()
    wait_until("OpenAI is asked", lambda: openai.command("GET", "faults")["faults"][0]["hits"] == 1)
    wait_until("the process is killed", lambda: it.stack.kill("rotate"))
    thread.join()
    assert len(failed) == 1

    with pytest.raises(StepError, match="busy"):
        it.step("createSecret", version)
    assert it.delivered() == 200
    end_the_lease(it.stack)
    it.steps(version)
    assert it.delivered() == 200
    assert it.openai_signs_with()[0] == it.in_use()


def test_a_second_rotation_follows_the_first_as_soon_as_the_verifier_looks_again(
    registering: Registering, openai: StandIn
) -> None:
    it = rotated(registering)
    for _ in range(2):
        it.steps(it.begin())
        assert it.openai_signs_with()[0] == it.in_use()
        assert it.delivered() == 200
    it.let_a_day_pass()
    assert it.delivered() == 200


def test_the_test_delivery_is_recorded_once_and_neither_asks_nor_alerts_anybody(
    registering: Registering, openai: StandIn
) -> None:
    it = rotated(registering)
    watch = Watch(it.stack)
    version = it.begin()
    it.step("createSecret", version)
    before = openai.requests()

    it.steps(version, "testSecret", "testSecret")

    event = wait_until(
        "the event is handled",
        lambda: (found := it.stack.event(f"wh_{version}")) and found["state"] == "completed" and found,
    )
    assert (event["event_type"], event["object_id"]) == ("realtime.signing_secret.tested", version)
    assert event["outcome"]["status"] == "recorded"
    assert [outcome.detail["status"] for outcome in watch.outcomes("realtime.signing_secret.tested")] == ["recorded"]
    assert watch.alerts() == []
    assert openai.requests() == before


def test_a_key_that_may_not_rotate_leaves_everything_as_it_is(registering: Registering, openai: StandIn) -> None:
    it = rotated(registering)
    version, secrets = it.begin(), it.openai_signs_with()
    openai.fault(ROTATE, "status", status=403)

    with pytest.raises(StepError, match="openai"):
        it.step("createSecret", version)

    assert it.openai_signs_with() == secrets == [it.in_use()]
    assert it.delivered() == 200


@pytest.mark.parametrize(
    ("action", "sid", "step", "reason"),
    [
        ("secretsmanager:DescribeSecret", "RotateSigningSecret", "createSecret", "secret_unreadable"),
        ("dynamodb:UpdateItem", "RotateOneAtATime", "createSecret", "ledger"),
        ("secretsmanager:GetSecretValue", "RotateSigningSecret", "createSecret", "secret_unreadable"),
        ("secretsmanager:GetSecretValue", "ReadApiKey", "createSecret", "no_api_key"),
        ("secretsmanager:PutSecretValue", "RotateSigningSecret", "createSecret", "secret_not_writable"),
        ("secretsmanager:UpdateSecretVersionStage", "RotateSigningSecret", "finishSecret", "not_in_use"),
    ],
)
def test_a_function_without_a_permission_is_refused_and_shuts_nobody_out(
    registering: Registering, action: str, sid: str, step: str, reason: str
) -> None:
    take_away(registering.template, "RotateRole", action, sid)
    it = rotated(registering)
    version = it.begin()
    for before in STEPS[: STEPS.index(step)]:
        it.step(before, version)

    with pytest.raises(StepError, match=reason):
        it.step(step, version)

    assert it.delivered() == 200
    assert len(it.openai_signs_with()) == (2 if step == "finishSecret" else 1)


def test_secrets_never_reach_the_log(registering: Registering, openai: StandIn) -> None:
    it = rotated(registering)
    before = it.openai_signs_with()
    it.steps(it.begin())

    log = "\n".join(wait_until("the function has logged", lambda: it.stack.logs("rotate")))

    assert "createSecret" in log
    assert not any(secret.removeprefix("whsec_") in log for secret in {*before, *it.openai_signs_with()})


def test_what_is_tested_is_the_url_that_openai_delivers_to(registering: Registering) -> None:
    stack = registering.deploy()

    name = stack.outputs["RotateFunctionName"]
    settings = stack.emulator.client("lambda").get_function_configuration(FunctionName=name)

    assert settings["Environment"]["Variables"]["WEBHOOK_URL"] == registering.endpoint()["url"]


def test_a_stack_that_does_not_manage_its_endpoint_has_no_function_for_it(stack: Stack) -> None:
    assert "RotateFunctionName" not in stack.outputs
    names = [found["FunctionName"] for found in stack.emulator.client("lambda").list_functions()["Functions"]]
    assert f"{stack.name}-rotate" not in names


def test_a_failed_step_alerts(registering: Registering) -> None:
    it = rotated(registering)
    stack, watch = it.stack, Watch(it.stack)
    with pytest.raises(StepError):
        it.step("noStep", it.begin())

    cloudwatch = stack.emulator.client("cloudwatch")

    def ringing() -> Any:
        # The emulator counts the error, and looks at its alarms when somebody sends a value.
        cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "Any", "Value": 1.0}])
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"{stack.name}-rotation-errors"])["MetricAlarms"]
        return alarm["StateValue"] == "ALARM" and alarm

    alarm = wait_until("the alarm rings", ringing)
    wait_until("people are told", lambda: [it for it in watch.alerts() if "rotation-errors" in it.message])
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/Lambda", "Errors", "Sum")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": f"{stack.name}-rotate"}]
    assert alarm["AlarmActions"] == [stack.outputs["AlertsTopicArn"]]
