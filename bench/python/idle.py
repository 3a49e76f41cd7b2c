"""What a deployed stack costs a month while no event comes: standing charges, Lambda's polling, scheduled tasks."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.python.bill import amounts
from bench.python.recorder import Recorder
from infra.local.deploy import template
from infra.local.stack import CATEGORIES, Stack, logical

MONTH_HOURS = 730
"""Hours of a month in AWS's own estimates."""

_POLL_SECONDS = 20
_POLLERS, _POLLERS_OF_A_LIMITED_QUEUE = 2, 5
"""What Lambda keeps at a queue without messages."""

_COUNTED = {
    "AWS::SecretsManager::Secret",
    "AWS::CloudWatch::Alarm",
    # One at the queue of each category, and of the supervisor.
    "AWS::Lambda::EventSourceMapping",
    "AWS::Scheduler::Schedule",
}
_FREE = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SSM::Parameter",
}
"""Types that cost nothing while they are empty and nobody calls them."""


class UnknownResourceError(Exception):
    """It is not known what a resource costs, so the sum would be too low."""


@dataclass(frozen=True)
class Idle:
    """Units to pay for in a month, by the name of the price, and what they come from in words."""

    amounts: Counter[str]
    notes: Mapping[str, str]


def standing(stack: Stack) -> Idle:
    """What the deployed resources cost by being there.

    Raises `UnknownResourceError` for a resource of an unknown type.
    """
    types = _types(stack)
    if unknown := types.keys() - _COUNTED - _FREE:
        raise UnknownResourceError(f"What does {', '.join(sorted(unknown))} cost? Add it to bench/python/idle.py")
    secrets, alarms, pollers = types["AWS::SecretsManager::Secret"], _watched_metrics(stack), _pollers(stack)
    return Idle(
        Counter(secret=secrets, alarm=alarms, sqs=sum(pollers) * MONTH_HOURS * 3600 // _POLL_SECONDS),
        {
            "secret": f"{secrets} secrets",
            "alarm": f"{types['AWS::CloudWatch::Alarm']} alarms over {alarms} metrics",
            "sqs": f"{sum(pollers)} pollers at {len(pollers)} queues, one request each {_POLL_SECONDS} s",
        },
    )


def idle(stack: Stack, recorder: Recorder) -> Idle:
    """All costs: those of the resources, and of the scheduled tasks, of which each is run once."""
    found = standing(stack)
    metrics: set[str] = set()
    for expression, task in _schedules(stack):
        runs = MONTH_HOURS / _hours(expression)
        ran = recorder.count(lambda task=task: stack.invoke("reconcile", task), lambda: True, "reconcile")
        # The bookmarks are written over.
        once = amounts(replace(ran, table_bytes=0, index_bytes=0), recorder.memory)
        found.amounts.update({price: amount * runs for price, amount in once.items()})
        found.amounts["scheduler"] += runs
        metrics |= ran.metrics
    found.amounts["metric"] = len(metrics)
    return Idle(+found.amounts, {**found.notes, "metric": f"the scheduled tasks send {', '.join(sorted(metrics))}"})


def _types(stack: Stack) -> Counter[str]:
    pages = stack.emulator.client("cloudformation").get_paginator("list_stack_resources")
    return Counter(
        resource["ResourceType"]
        for page in pages.paginate(StackName=stack.name)
        for resource in page["StackResourceSummaries"]
    )


def _watched_metrics(stack: Stack) -> int:
    """CloudWatch charges an alarm by the metrics in it, so one over all queues costs as much as one for each."""
    pages = stack.emulator.client("cloudwatch").get_paginator("describe_alarms")
    alarms = [alarm for page in pages.paginate(AlarmNamePrefix=f"{stack.name}-") for alarm in page["MetricAlarms"]]
    return sum(max(1, sum("MetricStat" in metric for metric in alarm.get("Metrics", []))) for alarm in alarms)


def _pollers(stack: Stack) -> list[int]:
    """Number of pollers at each queue that is polled, by the stack's parameters."""
    (described,) = stack.emulator.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    parameters = {name: str(parameter.get("Default")) for name, parameter in template()["Parameters"].items()}
    parameters |= {it["ParameterKey"]: it["ParameterValue"] for it in described["Parameters"]}
    names = [logical(category) for category in CATEGORIES]
    supervisor = [_POLLERS] if parameters["SupervisorHost"] == "lambda" else []
    return supervisor + [
        _POLLERS if parameters[f"{name}MaximumConcurrency"] == "0" else _POLLERS_OF_A_LIMITED_QUEUE
        for name in names
        if parameters[f"{name}Enabled"] == "true"
    ]


def _schedules(stack: Stack) -> list[tuple[str, dict[str, str]]]:
    """Expression and input of each schedule."""
    scheduler = stack.emulator.client("scheduler")
    found = scheduler.list_schedules(NamePrefix=f"{stack.name}-")["Schedules"]
    described = [scheduler.get_schedule(Name=schedule["Name"]) for schedule in found]
    return [(schedule["ScheduleExpression"], json.loads(schedule["Target"]["Input"])) for schedule in described]


def _hours(expression: str) -> float:
    """Hours between two runs of `rate(...)`."""
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if found is None:
        raise ValueError(f"{expression} is not a rate")
    return int(found[1]) * {"minute": 1 / 60, "hour": 1, "day": 24}[found[2]]
