"""What can be chosen for each category: on and off, memory, timeout, and how much at once."""

import pytest
from samtranslator.yaml_helper import yaml_parse

from infra.local.deploy import TEMPLATE
from infra.local.stack import CATEGORIES, Stack, create, logical, unhandled
from infra.local.stand_in import StandIn
from tests.batches import handled
from tests.waiting import stays, wait_until

CHOSEN = {
    **{f"{logical(category)}Memory": "1769" for category in CATEGORIES},
    **{f"{logical(category)}Timeout": "20" for category in CATEGORIES},
    **{f"{logical(category)}MaximumConcurrency": "7" for category in CATEGORIES},
}

UNTIL_AGAIN = {"batch": 80, "response": 80, "realtime": 25}
"""Seconds until a message whose consumer died comes again, with a timeout of 20 s. Six timeouts where it isn't told."""

ALONE = {"batch", "response", "fine-tuning", "realtime", "agent", "safety"}
"""What may run long or must be quick, so that no event waits for another one."""


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
    functions, sqs = stack.emulator.client("lambda"), stack.emulator.client("sqs")
    for category in CATEGORIES:
        name = f"{stack.name}-{category}"
        function = functions.get_function_configuration(FunctionName=name)
        (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        queue = sqs.get_queue_attributes(QueueUrl=stack.queue_url(category), AttributeNames=["All"])["Attributes"]

        assert (function["MemorySize"], function["Timeout"]) == (1769, 20), category
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": 7}, category
        assert int(queue["VisibilityTimeout"]) == UNTIL_AGAIN.get(category, 6 * 20), category


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_timeout_that_can_be_chosen_has_a_visibility_timeout(category: str) -> None:
    template = yaml_parse(TEMPLATE.read_text())

    allowed = template["Parameters"][f"{logical(category)}Timeout"]["AllowedValues"]

    for seconds in allowed:
        visibility = template["Mappings"]["Visibility"][str(seconds)]
        assert visibility["Sixfold"] == 6 * seconds
        assert visibility["AMinuteMore"] == seconds + 60
        assert visibility["FiveSecondsMore"] == seconds + 5


def test_what_may_run_long_or_must_be_quick_is_handled_alone() -> None:
    template = yaml_parse(TEMPLATE.read_text())
    for category in CATEGORIES:
        source = template["Resources"][f"{logical(category)}Function"]["Properties"]["Events"]["Queue"]["Properties"]
        assert "MaximumBatchingWindowInSeconds" not in source, category
        assert source["BatchSize"] == 1 or category not in ALONE, category
