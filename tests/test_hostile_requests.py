"""Hostile requests over HTTP against the deployed stack, each with its expected answer: `hostile_requests.json`."""

import base64
import json
import socket
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.emulator import Emulator
from infra.local.stack import CATEGORIES, Stack, create, new_signing_secret, unhandled
from tests.deliveries import Headers, sign

NOBODY = "http://127.0.0.1:9"
TABLE = json.loads((Path(__file__).parent / "hostile_requests.json").read_text())
EVENT = '{"id":"evt_hostile","object":"event","created_at":1,"type":"batch.completed","data":{"id":"batch_1"}}'

Row = dict[str, Any]

ACCEPTED: list[str] = []
"""Names of the requests that this process had accepted."""


@pytest.fixture(scope="module")
def stack(emulator: Emulator) -> Iterator[Stack]:
    """One stack for all requests; nothing consumes its queues."""
    stack = create(emulator, f"t-hostile-{emulator.port}", NOBODY, unhandled())
    stack.fill_secrets()
    yield stack
    stack.delete()


def body_of(row: Row) -> bytes:
    if "body_base64" in row:
        return base64.b64decode(row["body_base64"])
    parts = row.get("body_parts") or [row["repeat"] if "repeat" in row else row.get("body", EVENT)]
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode()


def headers_of(row: Row, secret: str, body: bytes) -> Headers:
    """The signature headers as the row says, then its own."""
    now = str(int(time.time()) - row.get("age", 0))
    headers: Headers = []
    if row.get("sign") != "no":
        secret = new_signing_secret() if row.get("sign") == "forged" else secret
        webhook_id = f"wh_{uuid.uuid4().hex}"
        signature = sign(secret, webhook_id, now, row["sign_body"].encode() if "sign_body" in row else body)
        plain = signature.removeprefix("v1,")
        made = row.get("signature", "v1,{signature}").format(
            signature=plain, half=plain[:20], hex=base64.b64decode(plain).hex()
        )
        usual = {"webhook-id": webhook_id, "webhook-timestamp": now, "webhook-signature": made} | row.get("replace", {})
        headers = [(name, value) for name, value in usual.items() if name != row.get("drop")]
        headers += [(name, value) for name, value in headers if name == row.get("twice")]
    return headers + [(name, value.replace("{now}", now)) for name, value in row.get("headers", [])]


def exchange(stack: Stack, row: Row) -> tuple[int, bytes]:
    """Send the row's request byte by byte as it is, and return the status and the body of the answer."""
    url = urllib.parse.urlsplit(stack.url())
    target = row.get("target", "{path}").replace("{path}", url.path)
    target = target.replace("{base}", url.path.removesuffix("/webhooks/project"))
    body = body_of(row)
    headers = headers_of(row, stack.signing_secrets["project"], body)
    names = [name.lower() for name, _ in headers]
    framing = [tuple(header) for header in row.get("framing", [["content-length", str(len(body))]])]
    usual = [("host", url.netloc), ("content-type", "application/json")]
    headers = [header for header in usual if header[0] not in names] + framing + headers + [("connection", "close")]
    head = f"{row.get('method', 'POST')} {target} {row.get('http', 'HTTP/1.1')}\r\n" + "".join(
        f"{n}: {v}\r\n" for n, v in headers
    )
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(head.encode("utf-8") + b"\r\n" + (row["wire"].encode() if "wire" in row else body))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head_received, _, content = received.partition(b"\r\n\r\n")
    if head_received.startswith(b"HTTP/1.1 100"):
        head_received, _, content = content.partition(b"\r\n\r\n")
    return int(head_received.split()[1]), content


def test_the_table_has_at_least_a_hundred_requests() -> None:
    assert len(TABLE["requests"]) >= 100
    names = [row["name"] for row in TABLE["requests"] + TABLE["events"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", TABLE["requests"], ids=lambda row: row["name"])
def test_a_hostile_request_is_answered_as_expected(stack: Stack, row: Row) -> None:
    status, content = exchange(stack, row)

    expected = (row["status"], row.get("reason"))
    if row.get("method") == "HEAD":
        assert status == row["status"]
        return
    reason = None if row.get("by") == "front" else json.loads(content).get("reason")
    assert (status, reason) == expected, content[:300]
    if status == 200:
        ACCEPTED.append(row["name"])


def test_what_was_accepted_was_queued_and_nothing_else(stack: Stack) -> None:
    """After the requests above: as many events are in the queues as were accepted."""
    assert sum(len(stack.messages(category)) for category in CATEGORIES) == len(ACCEPTED)
    assert stack.ledger() == []
