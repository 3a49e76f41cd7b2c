"""Alarms: each is set off once, people hear of it and of its end, and what it watches is what the functions send."""

import json
import re
import time
from typing import Any

import pytest

from infra.checks import dashboard
from infra.local.deploy import functions, template
from infra.local.processes import ROOT
from infra.local.stack import CATEGORIES, Stack, logical, new_signing_secret
from infra.local.stand_in import StandIn
from infra.local.watch import Alert, Watch
from tests.batches import given_up
from tests.between import Between, Request
from tests.conftest import MakeStack
from tests.deliveries import event, send, signed
from tests.test_reconcile import expectations
from tests.waiting import stays, wait_until

ALL = {"RegisterEndpoint": "false", "SilentHours": "6"}
ALARMS = {name: it for name, it in template()["Resources"].items() if it["Type"] == "AWS::CloudWatch::Alarm"}
OF_AWS = {"5xx": 3.0, "Invocations": 1.0, "NumberOfMessagesSent": 1.0, "EnqueueTime": 800.0}
"""What AWS or the verifier sends when something is wrong or, of the two whose absence rings, when all is well."""


def described(stack: Stack) -> dict[str, dict[str, Any]]:
    """Alarms of the stack, by the last part of their names."""
    pages = stack.emulator.client("cloudwatch").get_paginator("describe_alarms")
    found = [alarm for page in pages.paginate(AlarmNamePrefix=f"{stack.name}-") for alarm in page["MetricAlarms"]]
    return {alarm["AlarmName"].removeprefix(f"{stack.name}-"): alarm for alarm in found}


@pytest.mark.stack(**ALL)
def test_every_alarm_rings_and_people_hear_when_it_is_over(stack: Stack, watch: Watch) -> None:
    cloudwatch = stack.emulator.client("cloudwatch")
    for name, alarm in described(stack).items():
        (rings,) = [state for state in ("AlarmActions", "InsufficientDataActions") if alarm[state]]
        assert alarm[rings] == alarm["OKActions"] == [stack.outputs["AlertsTopicArn"]], name
        before = len(watch.alerts())
        state = "ALARM" if rings == "AlarmActions" else "INSUFFICIENT_DATA"
        for value in ("OK", state, "OK"):
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=value, StateReason="a test")
        told = [json.loads(alert.message) for alert in watch.alerts()[before:]]
        assert {(it["AlarmName"], it["NewStateValue"]) for it in told} >= {(alarm["AlarmName"], state)}, name
        assert told[-1]["NewStateValue"] == "OK"


def test_every_alarm_has_a_runbook_and_is_named_in_it() -> None:
    names = {it["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-") for it in ALARMS.values()}
    page = (ROOT / "docs" / "operations.md").read_text()

    runbooks, _, tried = page.partition("### How each alarm was tried")
    assert set(re.findall(r"### STACK-(\S+)\n", runbooks)) == {*names, "events-may-be-lost"}
    assert set(re.findall(r"\n\| `([\w-]+)` \|", tried.partition("\n## ")[0])) == {*names, "events-may-be-lost"}


@pytest.mark.stack(**ALL)
def test_every_alarm_on_a_metric_is_set_off_by_that_metric(stack: Stack) -> None:
    cloudwatch = stack.emulator.client("cloudwatch")
    simple = {name: alarm for name, alarm in described(stack).items() if not alarm.get("Metrics")}
    assert len(simple) == 8

    for name, alarm in simple.items():
        datum = {"MetricName": alarm["MetricName"], "Dimensions": alarm["Dimensions"]}
        value = OF_AWS.get(alarm["MetricName"], 2.0)
        cloudwatch.put_metric_data(Namespace=alarm["Namespace"], MetricData=[{**datum, "Value": value}])
        state = described(stack)[name]["StateValue"]
        assert state == ("OK" if alarm["InsufficientDataActions"] else "ALARM"), name


@pytest.mark.stack(**ALL)
def test_no_alarm_is_set_off_by_what_another_stack_sends(stack: Stack) -> None:
    cloudwatch, before = stack.emulator.client("cloudwatch"), described(stack)
    of_one = {name: alarm for name, alarm in before.items() if alarm["Dimensions"]}
    assert of_one

    for alarm in of_one.values():
        others = [{"Name": it["Name"], "Value": "other"} for it in alarm["Dimensions"]]
        datum = {"MetricName": alarm["MetricName"], "Dimensions": others, "Value": 1000.0}
        cloudwatch.put_metric_data(Namespace=alarm["Namespace"], MetricData=[datum])

    assert {name: it["StateValue"] for name, it in described(stack).items()} == {
        name: it["StateValue"] for name, it in before.items()
    }


@pytest.mark.stack(**ALL)
def test_an_alarm_watches_what_this_stack_sends(stack: Stack) -> None:
    api, verifier = stack.outputs["ApiId"], f"{stack.name}-verifier"
    of_stack = [{"Name": "stack", "Value": stack.name}]

    alarms = described(stack)

    assert (alarms["api-errors"]["MetricName"], alarms["api-errors"]["Dimensions"]) == (
        "5xx",
        [{"Name": "ApiId", "Value": api}],
    )
    assert alarms["silent"]["Dimensions"] == alarms["dead-letters"]["Dimensions"] == of_stack
    assert alarms["silent"]["EvaluationPeriods"] * alarms["silent"]["Period"] == 6 * 3600
    assert alarms["function-errors"]["Namespace"] == f"OpenAIWebhooks/{stack.name}"
    archive = alarms["archive-events"]
    assert archive["Dimensions"] == [{"Name": "QueueName", "Value": f"{stack.name}-archive"}]
    metrics = {it["Id"]: it["MetricStat"]["Metric"] for it in alarms["refused"]["Metrics"] if "MetricStat" in it}
    assert metrics["refused"]["Dimensions"] == of_stack
    assert metrics["invocations"]["Dimensions"] == [{"Name": "FunctionName", "Value": verifier}]
    queues = {
        it["MetricStat"]["Metric"]["Dimensions"][0]["Value"]
        for it in alarms["oldest-event"]["Metrics"]
        if "MetricStat" in it
    }
    assert queues == {f"{stack.name}-{category}" for category in CATEGORIES if category != "archive"}


# Expressions ----------------------------------------------------------------------------------------------------------


def share(refused: float | None, invocations: float) -> float:
    """Value of the alarm's expression, as CloudWatch evaluates it."""
    (expression,) = [it["Expression"] for it in ALARMS["RefusedAlarm"]["Properties"]["Metrics"] if "Expression" in it]
    filled = re.sub(r"FILL\((\w+), 0\)", r"(\1 or 0)", expression)
    python = re.sub(r"^IF\((.*?), (100 .*), 0\)$", r"(\2) if (\1) else 0", filled)
    return eval(python, {}, {"refused": refused, "invocations": invocations})


@pytest.mark.parametrize(
    ("refused", "invocations", "rings"),
    [(None, 100, False), (4, 4, False), (5, 5, True), (5, 100, False), (20, 100, False), (21, 100, True)],
)
def test_refusals_ring_above_a_fifth_of_all_deliveries(
    refused: float | None, invocations: float, *, rings: bool
) -> None:
    properties = ALARMS["RefusedAlarm"]["Properties"]
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    assert (share(refused, invocations) > properties["Threshold"]) == rings


def test_a_refused_delivery_is_counted_and_a_good_one_is_not(make_stack: MakeStack, openai: StandIn) -> None:
    stack = make_stack()
    openai.deliver("file.processed", {"id": "file-1"}, wait=True)

    body = event()
    assert send(stack.url(), body, signed(new_signing_secret(), body)).status == 401

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stack.logs("verifier") if '"Deliveries"' in line]
        return found if len(found) >= 2 else []

    accepted, refused = wait_until("both are logged", lines)[:2]
    assert "Refused" not in accepted
    assert (refused["Refused"], refused["stack"]) == (1, stack.name)
    directives = refused["_aws"]["CloudWatchMetrics"]
    (directive,) = [it for it in directives if {"Name": "Refused", "Unit": "Count"} in it["Metrics"]]
    assert (directive["Namespace"], directive["Dimensions"]) == ("OpenAIWebhooks", [["stack"]])


# Failed invocations ---------------------------------------------------------------------------------------------------

REPORTS = [
    (
        '{"time":"2026-11-01T00:00:00.000Z","type":"platform.report","record":{"requestId":"1","metrics":{},"status":"%s"}}',
        it,
    )
    for it in ("timeout", "error", "failure", "success")
]
"""Lambda's own lines with `LogFormat: JSON`, as AWS's documentation of the telemetry API has them."""


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """Whether a line is one that the filter counts: equality and inequality of texts, joined by `&&`."""
    for term in pattern.strip("{} ").split(" && "):
        path, operator, text = term.split(" ", 2)
        value: Any = line
        for name in path.removeprefix("$.").split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if (value == json.loads(text)) != (operator == "=") or value is None:
            return False
    return True


def test_every_failed_invocation_of_every_function_is_counted() -> None:
    resources = template()["Resources"]
    filters = [
        it["Properties"]
        for name, it in resources.items()
        if it["Type"] == "AWS::Logs::MetricFilter" and name != "ThrottledFilter"
    ]
    groups = {it["LogGroupName"]["Ref"] for it in filters}
    # The rotation has an alarm of its own.
    assert groups == {f"{logical(name)}LogGroup" for name in functions()} - {"RotateLogGroup"}
    alarm = ALARMS["FunctionErrorsAlarm"]["Properties"]
    for it in filters:
        (transformation,) = it["MetricTransformations"]
        assert (transformation["MetricNamespace"], transformation["MetricName"]) == (
            alarm["Namespace"],
            alarm["MetricName"],
        )
        counted = {status: matches(it["FilterPattern"], json.loads(line % status)) for line, status in REPORTS}
        assert counted == {"timeout": True, "error": True, "failure": True, "success": False}
        assert not matches(it["FilterPattern"], {"level": "ERROR", "message": "cannot queue the event"})


def test_what_api_gateway_throttles_is_counted() -> None:
    resources = template()["Resources"]
    properties, alarm = resources["ThrottledFilter"]["Properties"], ALARMS["ThrottledAlarm"]["Properties"]
    assert properties["LogGroupName"] == {"Ref": "ApiLogGroup"}
    (transformation,) = properties["MetricTransformations"]
    assert (transformation["MetricNamespace"], transformation["MetricName"]) == (
        alarm["Namespace"],
        alarm["MetricName"],
    )
    form = resources["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    for status, counted in (("429", True), ("200", False), ("503", False), ("-", False)):
        line = re.sub(r"\$context\.[\w.]+", "-", form.replace("$context.status", status))
        assert matches(properties["FilterPattern"], json.loads(line)) == counted, status


# Dead letters and secrets ---------------------------------------------------------------------------------------------


def test_dead_letters_ring_and_are_told_of_again_each_day(make_stack: MakeStack, openai: StandIn) -> None:
    stack = make_stack()
    watch = Watch(stack)
    expectations(stack)
    assert not [line for line in stack.logs("reconcile") if "DeadLetters" in line]
    openai.fault("GET /v1/files/{id}", "status", status=401)
    given_up(stack, openai.deliver("file.processed", {"id": "file-1"}, wait=True)[0])

    expectations(stack)

    (line,) = wait_until(
        "the metric is sent", lambda: [json.loads(it) for it in stack.logs("reconcile") if "DeadLetters" in it]
    )
    assert (line["DeadLetters"], line["stack"]) == (1, stack.name)
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["stack"]]

    def reminders() -> list[Alert]:
        return [alert for alert in watch.alerts() if "still wait" in alert.subject]

    expectations(stack)
    stays("nobody is reminded on the first day", lambda: reminders() == [], seconds=0.5)
    # The note of today becomes one of yesterday.
    dynamodb, table = stack.emulator.client("dynamodb"), stack.outputs["TableName"]
    (note,) = [it["pk"] for it in stack.ledger() if it["pk"].startswith("told#dead-letters/")]
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 24 * 3600))
    dynamodb.delete_item(TableName=table, Key={"pk": {"S": note}, "sk": {"S": "told"}})
    dynamodb.put_item(TableName=table, Item={"pk": {"S": f"told#dead-letters/{yesterday}"}, "sk": {"S": "told"}})

    expectations(stack)
    expectations(stack)

    (reminder,) = wait_until("people are reminded once", reminders)
    assert "file 1" in reminder.subject
    assert "dlq redrive" in reminder.message


def test_secrets_that_nobody_has_set_for_an_hour_are_told_of_once_a_day(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)
    watch = Watch(stack)

    def told() -> list[Alert]:
        return [alert for alert in watch.alerts() if alert.subject.startswith("Secrets are not set")]

    with Between(stack) as between:
        between.take("reconcile")
        expectations(stack)
        stays("nobody is told within the hour", lambda: told() == [], seconds=0.5)

        def two_hours_ago(body: bytes) -> bytes:
            answer = json.loads(body)
            return json.dumps({**answer, "CreatedDate": time.time() - 2 * 3600}).encode()

        def describes(request: Request) -> bool:
            return request.operation == "secretsmanager.DescribeSecret"

        between.change(describes, two_hours_ago)
        stack.set_secret("project", "whsec_" + "A" * 43 + "=")

        expectations(stack)
        expectations(stack)

        (alert,) = wait_until("people are told once", told)
        assert alert.subject == "Secrets are not set: api-key, organization"
        stack.fill_secrets()
        expectations(stack)
        asked = between.count("secretsmanager.DescribeSecret")
        expectations(stack)
        assert between.count("secretsmanager.DescribeSecret") == asked, "once all are set, nobody asks again"


# All in one -----------------------------------------------------------------------------------------------------------


def test_one_alarm_over_all_rings_with_each_that_comes_before_a_loss(stack: Stack) -> None:
    # CloudFormation's type is unknown to the emulator, the alarm itself is not.
    properties = template()["Resources"]["EventsMayBeLost"]["Properties"]
    rule, parts = properties["AlarmRule"]["Fn::Sub"]
    oldest = parts["Oldest"]["Fn::If"][1]["Fn::Sub"].replace("${OldestEventAlarm}", f"{stack.name}-oldest-event")
    rule = rule.replace("${AWS::StackName}", stack.name).replace("${Oldest}", oldest)
    cloudwatch, name = stack.emulator.client("cloudwatch"), f"{stack.name}-events-may-be-lost"
    cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule=rule, AlarmActions=[stack.outputs["AlertsTopicArn"]])
    rings = dict(re.findall(rf'(\w+)\("{stack.name}-([\w-]+)"\)', rule)[i][::-1] for i in range(rule.count("(")))

    def set_state(alarm: str, state: str) -> str:
        cloudwatch.set_alarm_state(AlarmName=f"{stack.name}-{alarm}", StateValue=state, StateReason="a test")
        (found,) = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return found["StateValue"]

    for alarm in rings:
        set_state(alarm, "OK")
    for alarm, state in rings.items():
        assert set_state(alarm, state) == "ALARM", alarm
        assert set_state(alarm, "OK") == "OK", alarm
    assert rings.keys() == {
        "api-errors", "refused", "throttled", "function-errors", "dead-letters", "reconcile-stopped", "oldest-event"
    }  # fmt: skip


@pytest.mark.stack(Dashboard="true")
def test_the_dashboard_shows_what_the_functions_send(stack: Stack) -> None:
    body = json.loads(stack.emulator.client("cloudwatch").get_dashboard(DashboardName=stack.name)["DashboardBody"])

    text = json.dumps(body)
    assert "${" not in text.replace("${PROP", "")
    alarms = body["widgets"][0]["properties"]["alarms"]
    assert {arn.rsplit(":", 1)[-1] for arn in alarms} <= {f"{stack.name}-{name}" for name in described(stack)}
    sent = {"Deliveries", "Handled", "HandleTime", "EventAge", "VerifyTime", "EnqueueTime", "Reconciled", "Overdue"}
    assert sent <= set(re.findall(r"\w+", text))


def test_the_picture_in_the_docs_is_of_this_dashboard() -> None:
    assert (ROOT / "docs" / "dashboard.svg").read_text() == dashboard.drawn()
