"""Events in the ledger as the consumers write them, without a delivery of each, to see what a full ledger does."""

import http.client
import json
import random
import threading
import time
from typing import Any

from infra.local.emulator import ACCESS_KEY, REGION
from infra.local.stack import Stack, category_of

DAYS = 35
"""Days over which they are spread, the newest now."""

_SHARDS = 16
_BATCH = 25
_WRITERS = 3
_TYPES = ("response.completed", "batch.completed", "response.failed", "file.processed", "realtime.call.incoming")
_HEADERS = {
    "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
    "Content-Type": "application/x-amz-json-1.0",
    # The emulator does not check the signature of the account's root user.
    "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


def seed(stack: Stack, count: int) -> None:
    """Write `count` events: one of 500 failed, and each object has two."""
    now = int(time.time() * 1000)
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stack.emulator.port, timeout=120)
        rng = random.Random(writer)
        try:
            for start in range(writer * _BATCH, count, _WRITERS * _BATCH):
                numbers = range(start, min(start + _BATCH, count))
                puts = [{"PutRequest": {"Item": _event(number, count, now, rng)}} for number in numbers]
                _write(connection, {stack.outputs["TableName"]: puts})
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(_WRITERS)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    if failures:
        raise failures[0]


def _write(connection: http.client.HTTPConnection, items: dict[str, Any]) -> None:
    connection.request("POST", "/", json.dumps({"RequestItems": items}), _HEADERS)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200 or json.loads(content)["UnprocessedItems"]:
        raise RuntimeError(f"BatchWriteItem answered {answer.status}: {content[:200]!r}")


def _event(number: int, count: int, now: int, rng: random.Random) -> dict[str, Any]:
    received = now - number * DAYS * 86_400_000 // count
    event_type = _TYPES[number % len(_TYPES)]
    webhook_id, object_id = f"wh_{rng.getrandbits(128):032x}", f"resp_{number // 2}"
    day = time.strftime("%Y-%m-%d", time.gmtime(received / 1000))
    event = {"id": f"evt_{number}", "object": "event", "created_at": received // 1000, "type": event_type}
    end = {"result": "completed"}
    if failed := number % 500 == 0:
        end = {"reason": "unauthorized", "message": "retrieve the object: OpenAI answered 401"}
    texts = {
        "pk": f"event#project#{webhook_id}",
        "sk": "event",
        "day": f"{day}#{number % _SHARDS}",
        "source": "openai",
        "webhook_timestamp": str(received // 1000),
        "event_id": f"evt_{number}",
        "event_type": event_type,
        "category": category_of(event_type),
        "object_id": object_id,
        "state": "failed" if failed else "completed",
        "token": f"{number:032x}",
        "body": json.dumps(event | {"data": {"id": object_id}}),
        **end,
    }
    numbers = {
        "received_at": received,
        "claims": 1,
        "end_told": 1,
        "handled_at": received + 700,
        "expires_at": received // 1000 + DAYS * 86_400,
    }
    attempt = {
        "source": {"S": "openai"},
        "begun": {"N": str(received + 100)},
        "ended": {"N": str(received + 700)},
        "result": {"S": end.get("result", "failed")},
    }
    item: dict[str, Any] = {name: {"S": value} for name, value in texts.items()}
    item |= {name: {"N": str(value)} for name, value in numbers.items()}
    item["attempts"] = {"L": [{"M": attempt}]}
    return item
