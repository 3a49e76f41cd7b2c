"""Deliveries made by hand: signed by the scheme's definition alone, and every byte of them under control."""

import base64
import hashlib
import hmac
import http.client
import json
import time
import urllib.parse
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_ANSWER_TIMEOUT_SECONDS = 30.0

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def event(event_type: str = "batch.completed", object_id: str = "batch_1") -> bytes:
    """The body of an event."""
    envelope = {"id": f"evt_{uuid.uuid4().hex}", "object": "event", "created_at": int(time.time()), "type": event_type}
    return json.dumps({**envelope, "data": {"id": object_id}}).encode()


def sign(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """One signature: HMAC-SHA256 over id, timestamp and body with dots in between, in base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    mac = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def signed(secrets: str | Iterable[str], body: bytes, *, timestamp: str | None = None) -> Headers:
    """The three headers of a delivery, with a signature for each of the secrets."""
    webhook_id = f"wh_{uuid.uuid4().hex}"
    timestamp = timestamp if timestamp is not None else str(int(time.time()))
    named = [secrets] if isinstance(secrets, str) else secrets
    signatures = " ".join(sign(secret, webhook_id, timestamp, body) for secret in named)
    return [("webhook-id", webhook_id), ("webhook-timestamp", timestamp), ("webhook-signature", signatures)]


def send(
    url: str, body: bytes, headers: Headers, method: str = "POST", content_type: str = "application/json"
) -> Answer:
    """Send a request with these headers as they are, repeated ones included.

    An HTTP API hands a body over as text or in base64 by its content type.
    """
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_ANSWER_TIMEOUT_SECONDS)
    try:
        connection.putrequest(method, parts.path)
        for name, value in [*headers, ("content-type", content_type), ("content-length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answered, response.read())
    finally:
        connection.close()
