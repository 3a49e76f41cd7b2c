"""`make bench` measures the build that `make build` makes, and leaves no cost out."""

import os
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.python import bill, idle, units
from bench.python.costs import event, report
from bench.python.idle import UnknownResourceError, standing
from bench.python.recorder import Count, Recorder, call
from infra.local.deploy import template
from infra.local.proxy import Request
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.conftest import MakeStack

ROOT = Path(__file__).parent.parent

NOTHING = Count(Counter(), {}, Counter(), 0, 0, Counter(), 0, frozenset(), 0, 0)
BY_NAME = {"KeySchema": [{"AttributeName": "name"}], "Projection": {"NonKeyAttributes": ["shown"]}}


def _features(packages: list[str]) -> dict[str, str]:
    """Features of every crate in one build of these packages."""
    options = [f"--package={package}" for package in packages]
    tree = ["cargo", "tree", "--edges=normal,build", "--prefix=none", "--format={p}|{f}", *options]
    # Whoever has cargo unify features over the whole workspace would see no difference.
    environment = {name: value for name, value in os.environ.items() if "FEATURE_UNIFICATION" not in name}
    run = subprocess.run(tree, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    lines = run.stdout.splitlines()
    return dict(line.removesuffix(" (*)").split("|") for line in lines if line)


def _built(target: str) -> list[str]:
    """Packages of the only release build of a make target: a second one might compile a dependency again."""
    recipe = subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    (build,) = re.findall(r"cargo (?:lambda )?build (?:--profile |--)release (.*)", recipe)
    return re.findall(r"--package (\S+)", build)


def test_the_measured_functions_are_built_with_the_deployed_features() -> None:
    """Cargo unifies features over the packages of one build, so the two builds could differ."""
    measured = _features(_built("bench"))
    deployed = _features(_built("build"))
    ours = _features(["verifier", "batch"])
    assert len(ours) > 100
    assert {crate: measured[crate] for crate in ours} == {crate: deployed[crate] for crate in ours}


def test_the_benchmarks_need_no_aws_sdk() -> None:
    crates = _features([package for package in _built("bench") if package not in ("verifier", "batch", "console-function")])
    assert [crate for crate in crates if crate.startswith("aws-sdk-")] == []


def test_every_call_of_an_event_is_counted(stack: Stack, openai: StandIn) -> None:
    with Recorder(stack, openai) as recorder:
        count = event(recorder, stack, openai, "response")

        assert count.calls == {
            "APIGateway.Request": 1,
            "Lambda.Invoke": 2,
            "AmazonSQS.SendMessage": 1,
            "AmazonSQS.ReceiveMessage": 1,
            "AmazonSQS.DeleteMessage": 1,
            "DynamoDB.UpdateItem": 4,
            "S3.PutObject": 1,
            "AWSEvents.PutEvents": 1,
        }
        assert count.openai == {"GET /v1/responses/{id}": 1}
        # The claim, the job, the end, the history, and the history in the index by-day.
        assert (count.write_units, count.read_units) == (5, 0)
        assert count.invocations == {"verifier": 1, "response": 1}
        assert 1000 < count.log_bytes < 2000
        assert {metric.partition(",")[0] for metric in count.metrics} >= {"Deliveries", "Handled"}
        amounts = bill.amounts(count, recorder.memory)
        assert (amounts["sqs"], amounts["s3_put"], amounts["dynamodb_write"]) == (3, 1, 5)

        costs = idle.idle(stack, recorder)
        assert {name: costs.amounts[name] for name in ("secret", "alarm")} == {"secret": 3, "alarm": 16}
        # 730 hours with a run every quarter of an hour, and one every six hours.
        assert round(costs.amounts["scheduler"], 1) == round(costs.amounts["lambda_request"], 1) == 3041.7
        assert costs.amounts["dynamodb_read"] > 0
        assert "" not in report({"response": count}, recorder.memory, costs)[:3]


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/", "Kinesis_20131202.PutRecord", b"{}"),
        Request("POST", "/", "AmazonSQS.PurgeQueue", b"{}"),
        Request("POST", "/", "", b"Action=AssumeRole&Version=2011-06-15"),
        Request("POST", "/", "", b"Action=Subscribe&TopicArn=arn"),
        Request("PUT", "/bucket/key?x-id=CopyObject", "", b""),
        Request("GET", "/2015-03-31/functions/", "", b""),
    ],
    ids=lambda request: request.operation or f"{request.method} {request.path} {request.body.decode()}",
)
def test_a_call_without_a_price_fails(request_: Request) -> None:
    with pytest.raises(bill.UnknownCallError, match="has no price"):
        bill.amounts(replace(NOTHING, calls=Counter([call(request_)])), {})


def test_a_call_is_named_by_its_service_and_operation() -> None:
    requests = {
        "DynamoDB.UpdateItem": Request("POST", "/", "DynamoDB_20120810.UpdateItem", b"{}"),
        "SNS.Publish": Request("POST", "/", "", b"Action=Publish&TopicArn=arn"),
        "S3.PutObject": Request("PUT", "/bucket/key?x-id=PutObject", "", b""),
        "S3.CreateMultipartUpload": Request("POST", "/bucket/key?uploads", "", b""),
    }
    assert {name: call(request) for name, request in requests.items()} == {name: name for name in requests}
    assert all(price in bill.PRICES for price in bill.CALLS.values())


def test_every_invocation_and_its_log_are_charged() -> None:
    count = replace(
        NOTHING,
        by_function={"verifier": Counter({"AmazonSQS.SendMessage": 1}), "file": Counter({"S3.PutObject": 2})},
        openai=Counter({"GET /v1/files/{id}": 1}),
        invocations=Counter({"verifier": 1, "file": 1}),
        calls=Counter({"APIGateway.Request": 1}),
        log_bytes=1000,
    )
    amounts = bill.amounts(count, {"verifier": 512, "file": 1024})
    time = bill.MILLISECONDS
    verifier, consumer = time["own"] + time["aws"], time["own"] + 2 * time["S3"] + time["openai"]
    assert amounts["lambda_time"] == pytest.approx((verifier / 2 + consumer) / 1000)
    assert amounts["log"] == 1000 + bill.access_log_bytes()
    assert 200 < bill.access_log_bytes() < 400


def test_a_stack_without_events_pays_for_what_is_deployed(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False, BatchMaximumConcurrency="2", FileEnabled="false")
    amounts = standing(stack).amounts
    # Five pollers at the limited queue, none at the disabled one, two at each of the others; a request every 20 s.
    assert amounts == {"secret": 3, "alarm": 15, "sqs": (5 + 7 * 2) * 730 * 180}


def test_a_resource_of_an_unknown_cost_fails(make_stack: MakeStack) -> None:
    changed = template()
    changed["Resources"]["Stream"] = {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 1}}
    with pytest.raises(UnknownResourceError, match="AWS::Kinesis::Stream"):
        standing(make_stack(fill_secrets=False, template=changed))


def text(content: str) -> dict[str, Any]:
    return {"S": content}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"pk": text("a"), "sk": text("b")}, 1),
        ({}, {"pk": text("a"), "sk": text("x" * 1021)}, 2),
        ({"pk": text("x" * 2000)}, {"pk": text("a")}, 2),
        ({}, {"name": text("a")}, 2),
        ({"name": text("a")}, {"name": text("a"), "hidden": text("b")}, 1),
        ({"name": text("a")}, {"name": text("a"), "shown": text("b")}, 2),
        ({"name": text("a")}, {"name": text("b")}, 3),
        ({"name": text("a")}, {"name": text("a")}, 1),
    ],
    ids=["small", "large", "shrinks", "enters the index", "hidden", "shown", "moves in the index", "refused"],
)
def test_a_write_costs_its_size_and_what_the_index_shows(
    old: dict[str, Any], new: dict[str, Any], expected: int
) -> None:
    assert units.written([BY_NAME], old, new) == expected


def test_sizes_are_those_that_dynamodb_documents() -> None:
    item = {"a": text("bc"), "n": {"N": "-12.5"}, "m": {"M": {"k": {"BOOL": True}}}, "l": {"L": [text("x")]}}
    assert units.size(item) == (1 + 2) + (1 + 3) + (1 + 3 + 1 + 1 + 1) + (1 + 3 + 1 + 1)
    assert units.read([], consistent=False) == 0.5
    assert units.read([{"a": text("x" * 4096)}], consistent=True) == 2
