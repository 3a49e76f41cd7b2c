"""Parameters of categories: on and off, how much at once, and the settings that the queues have instead."""

import pytest

from infra.local import deploy
from infra.local.stack import CATEGORIES, Stack, create, logical, unhandled
from infra.local.stand_in import StandIn
from tests.batches import handled
from tests.waiting import stays, wait_until

CHOSEN = {
    "BatchMemory": "1769",
    "BatchTimeout": "20",
    **{f"{logical(category)}MaximumConcurrency": "7" for category in CATEGORIES},
}

MORE_THAN_TIMEOUT = {"batch": 60, "response": 60, "realtime": 5}
"""Seconds that a queue's visibility timeout exceeds its function's longest timeout by. For other categories it is six
times the timeout."""

ALONE = {"batch", "response", "fine-tuning", "realtime", "agent", "safety"}
"""Categories that may run long or must be quick, so that no event waits for another one."""


@pytest.mark.stack(**unhandled("archive"))
def test_what_is_off_waits_and_is_handled_when_it_is_on_again(stack: Stack, openai: StandIn) -> None:
    (delivery,) = openai.deliver("brand.new", {"id": "thing_1"}, wait=True)
    assert delivery["attempts"][0]["status"] == 200
    stays("the event waits", lambda: [message.receives for message in stack.messages("archive")] == [0])
    assert stack.ledger() == []

    create(stack.emulator, stack.name, openai.base_url, {"ArchiveEnabled": "true"})

    assert handled(stack, delivery)["attempts"] == 1
    wait_until("the queue is empty", lambda: stack.messages("archive") == [])


@pytest.mark.stack(**CHOSEN)
def test_every_category_takes_what_is_chosen_for_it(stack: Stack) -> None:
    functions = stack.emulator.client("lambda")
    for category in CATEGORIES:
        mappings = functions.list_event_source_mappings(FunctionName=f"{stack.name}-{category}")
        (mapping,) = mappings["EventSourceMappings"]
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": 7}, category
    batch = functions.get_function_configuration(FunctionName=f"{stack.name}-batch")
    assert (batch["MemorySize"], batch["Timeout"]) == (1769, 20)


def test_a_queue_hides_a_message_longer_than_its_consumer_may_take(stack: Stack) -> None:
    functions, sqs = stack.emulator.client("lambda"), stack.emulator.client("sqs")
    assert deploy.template()["Parameters"]["BatchTimeout"]["MaxValue"] == 900
    for category in CATEGORIES:
        function = functions.get_function_configuration(FunctionName=f"{stack.name}-{category}")
        queue = sqs.get_queue_attributes(QueueUrl=stack.queue_url(category), AttributeNames=["All"])["Attributes"]
        seconds = function["Timeout"]
        more = MORE_THAN_TIMEOUT.get(category, 5 * seconds)
        assert int(queue["VisibilityTimeout"]) == seconds + more, category


def test_no_category_has_a_limit_of_its_own_unless_one_is_chosen(stack: Stack) -> None:
    functions = stack.emulator.client("lambda")
    for category in CATEGORIES:
        mappings = functions.list_event_source_mappings(FunctionName=f"{stack.name}-{category}")
        (mapping,) = mappings["EventSourceMappings"]
        assert "ScalingConfig" not in mapping, category


def test_what_may_run_long_or_must_be_quick_is_handled_alone() -> None:
    functions = deploy.functions()
    for category in CATEGORIES:
        source = functions[category]["Properties"]["Events"]["Queue"]["Properties"]
        assert "MaximumBatchingWindowInSeconds" not in source, category
        assert source["BatchSize"] == 1 or category not in ALONE, category
