"""Signs deliveries, with nothing but Python's own `hmac`, `hashlib` and `base64`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

NOW = 1_795_219_200
WINDOW = 300
MAX_BODY = 256 * 1024

KEY = bytes(range(32))
OLD_KEY = bytes(range(100, 132))
FOREIGN_KEY = bytes(range(200, 232))
ID = "wh_6919e1c3d2a08190b4f7a1c29d50e3b6"
BODY = (
    '{"id": "evt_6919e1c3a3f48190a53f8b1d7c6e2f04", "object": "event", "created_at": 1795219198, '
    '"type": "batch.completed", "data": {"id": "batch_6919d0a4"}}'
)
LEGACY_SECRET = "a shared text of some length"

Vector = dict[str, Any]
Headers = list[list[str]]


def secret(key: bytes) -> str:
    """The secret as OpenAI shows it."""
    return "whsec_" + base64.b64encode(key).decode()


def mac(key: bytes, *parts: str | bytes) -> bytes:
    """HMAC-SHA256 of the parts with a dot between each two."""
    message = b".".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hmac.new(key, message, hashlib.sha256).digest()


def v1(
    key: bytes = KEY, *, webhook_id: str = ID, timestamp: str | int = NOW, body: str | bytes = BODY, version: str = "v1"
) -> str:
    """One signature as it stands in the header."""
    return f"{version},{base64.b64encode(mac(key, webhook_id, str(timestamp), body)).decode()}"


def headers(signature: str | None, *, webhook_id: str | None = ID, timestamp: str | int | None = NOW) -> Headers:
    """The three headers; those that are `None` are left out."""
    named = [("webhook-id", webhook_id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
    return [[name, str(value)] for name, value in named if value is not None]


def vector(name: str, verdict: str, given: Headers, **rest: Any) -> Vector:
    """A delivery and what must be said of it."""
    body = rest.pop("body", BODY)
    written = {"body": body} if isinstance(body, str) else {"body_base64": base64.b64encode(body).decode()}
    return {"name": name, "verdict": verdict, "secrets": [secret(KEY)], "headers": given, **written, "now": NOW, **rest}


def signed(name: str, verdict: str = "accepted", **rest: Any) -> Vector:
    """A delivery that is signed as it should be."""
    own = {key: rest.pop(key) for key in ("webhook_id", "timestamp") if key in rest}
    given = headers(v1(**own, body=rest.get("body", BODY)), **own)
    return vector(name, verdict, given, **rest)


def padded(vectors: list[Vector]) -> list[Vector]:
    """Signs what carries `padded_to`: such a body is filled with spaces at its end when the vector is read."""
    for each in vectors:
        if "padded_to" in each and each["verdict"] == "accepted":
            each["headers"] = headers(v1(body=each["body"].ljust(each["padded_to"])))
    return vectors
