"""Every type of event reaches the queue of its category, as it was sent."""

import json
from pathlib import Path

import pytest

from infra.local.processes import ROOT
from infra.local.stack import CATEGORIES, PREFIXES, Message, Stack, unhandled
from infra.local.stand_in import StandIn
from tests import schemas

pytestmark = pytest.mark.stack(**unhandled())

BODIES = sorted((ROOT / "events" / "bodies").glob("*.json"))


def queued(stack: Stack) -> dict[str, list[Message]]:
    return {category: stack.messages(category) for category in CATEGORIES}


def sample(path: Path) -> str:
    return path.read_text().removesuffix("\n")


def documented(event_type: str) -> str:
    """The category whose schema the schema of a type refers to."""
    return schemas.schema_of(event_type)["$ref"].removesuffix(".json")


def test_there_is_a_sample_of_every_prefix() -> None:
    samples = {path.name.partition(".")[0] for path in BODIES}

    assert PREFIXES.keys() - samples == {"fine_tune"}


def test_every_event_that_openai_sends_reaches_the_queue_of_its_category(stack: Stack, openai: StandIn) -> None:
    endpoint_of = {}
    for path in BODIES:
        body = sample(path)
        event_type = json.loads(body)["type"]
        endpoint_of[event_type] = "organization" if event_type.startswith("safety.") else "project"
        (delivery,) = openai.deliver(
            body=body, endpoint=endpoint_of[event_type], webhook_id=f"wh_{path.stem}", wait=True
        )
        assert delivery["attempts"][0]["status"] == 200, f"{path.name}: {delivery}"

    arrived = {
        message.json()["type"]: (category, message) for category, found in queued(stack).items() for message in found
    }
    assert {event_type: category for event_type, (category, _) in arrived.items()} == {
        event_type: documented(event_type) for event_type in endpoint_of
    }
    assert {message.body for _, message in arrived.values()} == {sample(path) for path in BODIES}
    for event_type, (_, message) in arrived.items():
        attributes = dict(message.attributes)
        assert int(attributes.pop("received-at")) // 1000 >= int(attributes.pop("webhook-timestamp"))
        assert attributes == {
            "webhook-id": f"wh_{event_type}",
            "endpoint": endpoint_of[event_type],
            "event-type": event_type,
            "source": "openai",
        }


def test_a_type_that_nobody_has_heard_of_goes_to_the_archive_unchanged(stack: Stack, openai: StandIn) -> None:
    types = ["brand.new", "batches.completed", "batch", "BATCH.completed", "new.\u00e9v\u00e9nement"]
    data = {"id": "thing_1", "more": [1, 2.50, {"deep": None}]}

    for event_type in types:
        openai.deliver(event_type, data, wait=True, retry=False)

    messages = stack.messages("archive")
    assert [message.json()["type"] for message in messages] == types
    assert [message.json()["data"] for message in messages] == [data] * len(types)


def test_characters_that_sqs_refuses_get_in_and_mean_the_same(stack: Stack, openai: StandIn) -> None:
    text = "noncharacters \ufffe \uffff, a tab \\t, an emoji \U0001f600, the end of the plane \U0010ffff"
    body = f'{{"id": "evt_1", "type": "batch.completed", "created_at": 1, "data": {{"id": "{text}"}}}}'

    (delivery,) = openai.deliver(body=body, wait=True, retry=False)

    assert delivery["attempts"][0]["status"] == 200, delivery
    (message,) = stack.messages("batch")
    assert message.json() == json.loads(body)
    assert not {"\ufffe", "\uffff"} & set(message.body)
