"""Batches at OpenAI for tests, and the records of their events."""

import json
import time
from typing import Any

from infra.local.stack import Item, Stack
from infra.local.stand_in import Json, StandIn
from tests.waiting import DEFAULT_TIMEOUT_SECONDS, wait_until

_ENDPOINT = "/v1/responses"


def new_batch(openai: StandIn, requests: int = 1, metadata: dict[str, str] | None = None) -> str:
    """Create a batch with requests named `request-0`, `request-1` and so on, and return its id."""
    lines = [
        {
            "custom_id": f"request-{number}",
            "method": "POST",
            "url": _ENDPOINT,
            "body": {"model": "gpt-6-luna", "input": "Hello"},
        }
        for number in range(requests)
    ]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    sdk = openai.sdk()
    uploaded = sdk.files.create(file=("requests.jsonl", content), purpose="batch")
    made = sdk.batches.create(input_file_id=uploaded.id, endpoint=_ENDPOINT, completion_window="24h", metadata=metadata)
    return made.id


def finish(openai: StandIn, batch_id: str, status: str = "completed", **options: Any) -> Json:
    """End a batch and return the delivery of its webhook."""
    (delivery,) = openai.advance(batch_id, status, **options)["deliveries"]
    return delivery


def content(openai: StandIn, batch_id: str) -> dict[str, bytes]:
    """OpenAI's files of a batch, by the keys of their artifacts."""
    sdk = openai.sdk()
    batch = sdk.batches.retrieve(batch_id)
    files = {"output.jsonl": batch.output_file_id, "errors.jsonl": batch.error_file_id}
    return {f"batch/{batch_id}/{name}": sdk.files.content(id).read() for name, id in files.items() if id}


def kept(stack: Stack, batch_id: str) -> dict[str, bytes]:
    """The stored files of a batch, by key."""
    keys = stack.artifacts(f"batch/{batch_id}/")
    return {key: stack.artifact(key) or b"" for key in keys if key.endswith(".jsonl")}


def summary(stack: Stack, batch_id: str) -> Json:
    """The `summary.json` of a batch."""
    found = stack.artifact(f"batch/{batch_id}/summary.json")
    assert found is not None, f"{batch_id} has no summary; the bucket has {list(stack.artifacts())}"
    return json.loads(found)


def of_age() -> int:
    """The `created_at` of an event so old that an object which is not there is believed to be missing."""
    return int(time.time()) - 11 * 60


def handled(stack: Stack, delivery: Json, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> Item:
    """Wait until the delivery's event is done and return its record."""
    return _ended(stack, delivery, ("completed", "not_found"), timeout)


def given_up(stack: Stack, delivery: Json, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> Item:
    """Wait until the delivery's event has failed and return its record."""
    return _ended(stack, delivery, ("failed",), timeout)


def tried(stack: Stack, delivery: Json, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> Item:
    """Wait until the first attempt at the delivery's event has failed, and return its record."""

    def failed_once() -> Item | None:
        event = stack.event(delivery["webhook_id"], delivery["endpoint"])
        return event if event is not None and "error" in event else None

    return wait_until("the first attempt has failed", failed_once, timeout)


def _ended(stack: Stack, delivery: Json, states: tuple[str, ...], timeout: float) -> Item:
    webhook_id, endpoint = delivery["webhook_id"], delivery["endpoint"]

    def ended() -> Item | None:
        event = stack.event(webhook_id, endpoint)
        return event if event is not None and event["state"] in states else None

    try:
        return wait_until(f"the event of {webhook_id} is {states[0]}", ended, timeout)
    except AssertionError as error:
        waiting = [(message.attributes, message.receives, message.visible) for message in stack.messages("batch")]
        raise AssertionError(f"{error}\nevent: {stack.event(webhook_id, endpoint)}\nqueue: {waiting}") from None
