"""The corpus against OpenAI's own Python library.

Where the two differ is listed, each with its reason, in `oracles/openai-python.json`: a difference that is not listed
fails, and so does a listed one that is gone. The library reads the system's clock, so it is shown each vector's own.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

FOLDER = Path(__file__).parent
CLIENT = OpenAI(api_key="not used")

Vector = dict[str, Any]


def vectors() -> Iterator[tuple[str, Vector]]:
    for path in sorted(FOLDER.glob("*.json")):
        section = json.loads(path.read_text(encoding="utf-8"))
        for vector in section["vectors"]:
            if vector.get("scheme") is None:
                yield f"{section['section']}: {vector['name']}", vector


def headers(vector: Vector) -> HTTPMessage:
    """The headers as Python's own HTTP server hands them over: any number of lines, and `get` takes the first."""
    message = HTTPMessage()
    for name, value in vector["headers"]:
        message[name] = value
    return message


def body(vector: Vector) -> bytes:
    raw = vector["body"].encode() if "body" in vector else base64.b64decode(vector["body_base64"])
    return raw.ljust(vector.get("padded_to", 0))


def verdict(vector: Vector, secret: str) -> str:
    try:
        CLIENT.webhooks.verify_signature(payload=body(vector), headers=headers(vector), secret=secret)
    except (InvalidWebhookSignatureError, ValueError):
        return "refused"
    except Exception as error:  # What it is not documented to raise is a difference of its own.
        return f"raises {type(error).__name__}"
    return "accepted"


def theirs(vector: Vector, clock: pytest.MonkeyPatch) -> str:
    clock.setattr(time, "time", lambda: float(vector["now"]))
    verdicts = {verdict(vector, secret) for secret in vector["secrets"]}
    return "accepted" if "accepted" in verdicts else next(iter(verdicts - {"refused"}), "refused")


def ours(vector: Vector) -> str:
    return "accepted" if vector["verdict"] in {"accepted", "malformed_body"} else "refused"


def test_the_library_differs_where_it_is_known_to(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    with monkeypatch.context() as clock:
        for name, vector in vectors():
            if (verdict := theirs(vector, clock)) != ours(vector):
                found[name] = verdict
    listed = json.loads((FOLDER / "oracles" / "openai-python.json").read_text(encoding="utf-8"))
    assert found == {name: verdict for name, (verdict, _) in listed.items()}, json.dumps(found, indent=1)


def test_the_library_reads_its_own_test_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = dict(vectors())["official: openai: test delivery"]
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: float(vector["now"]))
        event = CLIENT.webhooks.unwrap(body(vector), headers(vector), secret=vector["secrets"][0])
    assert (event.type, event.id) == ("response.completed", "evt_685c059ae3a481909bdc86819b066fb6")


def test_the_corpus_is_what_its_generator_writes() -> None:
    check = subprocess.run(
        [sys.executable, FOLDER / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
