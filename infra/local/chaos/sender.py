"""Delivers events as OpenAI does: signed, and again until they are accepted.

The stand-in could do that too, but it starts every retry by itself, and hundreds of them at once start hundreds of
verifiers on this machine. Here a delivery keeps its place among a few until it is done.
"""

import base64
import hashlib
import hmac
import http.client
import time
import urllib.parse
from dataclasses import dataclass, field

from infra.local.stack import Stack

_ANSWER_TIMEOUT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 3.0
_GIVE_UP_SECONDS = 300.0
"""OpenAI tries for 72 hours."""


@dataclass
class Sent:
    """One delivery, and the answers to its attempts."""

    webhook_id: str
    endpoint: str
    forged: bool
    answers: list[str] = field(default_factory=list)
    """Status of each attempt, or what happened instead of an answer."""

    @property
    def is_accepted(self) -> bool:
        """Whether the last attempt was answered with 200."""
        return self.answers[-1:] == ["200"]


def send(stack: Stack, webhook_id: str, endpoint: str, body: bytes, *, forged: bool) -> Sent:
    """Deliver an event; a forged one once only."""
    secret = stack.signing_secrets[endpoint]
    key = b"somebody else's" if forged else base64.b64decode(secret.removeprefix("whsec_"))
    sent = Sent(webhook_id, endpoint, forged)
    pause, deadline = _FIRST_PAUSE_SECONDS, time.monotonic() + _GIVE_UP_SECONDS
    while True:
        sent.answers.append(_attempt(stack.url(endpoint), key, webhook_id, body))
        if sent.is_accepted or forged or time.monotonic() > deadline:
            return sent
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _attempt(url: str, key: bytes, webhook_id: str, body: bytes) -> str:
    timestamp = str(int(time.time()))
    mac = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path, body, headers)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
