"""Prints a newly signed HTTP API event (payload format 2.0) for the verifier, with a body that OpenAI sends.

A stored event would be useless: a signature expires after five minutes.

    python3 events/http-api.py events/bodies/batch.completed.json > event.json
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SAMPLE_SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
"""The public secret of the official SDK's own tests. Never sign real events with it."""

FORGED_KEY = b"not the secret of any endpoint"

USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"


def key(secret: str) -> bytes:
    """The signing key: the base64 text after `whsec_`, decoded. Raises `ValueError` for any other secret."""
    prefix, _, encoded = secret.strip().partition("_")
    if prefix != "whsec" or not encoded:
        raise ValueError("the secret does not start with whsec_")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the secret is not base64 after whsec_") from None


def sign(signing_key: bytes, webhook_id: str, timestamp: int, body: str) -> str:
    """One signature of the header `webhook-signature`."""
    signed = f"{webhook_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(signing_key, signed, hashlib.sha256).digest()).decode()


def http_api_event(body: str, endpoint: str, signing_key: bytes, now: float) -> dict[str, Any]:
    """The verifier's event from API Gateway for a delivery of `body` at `now` (Unix seconds)."""
    path = f"/webhooks/{endpoint}"
    webhook_id = f"wh_{uuid.uuid4().hex}"
    timestamp = int(now)
    route = "POST /webhooks/{endpoint}"
    host = "example.execute-api.us-east-1.amazonaws.com"
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "content-length": str(len(body.encode())),
            "content-type": "application/json",
            "host": host,
            "user-agent": USER_AGENT,
            "webhook-id": webhook_id,
            "webhook-signature": sign(signing_key, webhook_id, timestamp, body),
            "webhook-timestamp": str(timestamp),
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "domainName": host,
            "domainPrefix": "example",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": USER_AGENT,
            },
            "requestId": uuid.uuid4().hex[:16],
            "routeKey": route,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "pathParameters": {"endpoint": endpoint},
        "body": body,
        "isBase64Encoded": False,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the event for the body file of the command line."""
    parser = argparse.ArgumentParser(description="Print a newly signed HTTP API event for the verifier.")
    parser.add_argument("body", type=Path, help="a file in events/bodies, or any other; '-' reads standard input")
    parser.add_argument(
        "--secret",
        default=os.environ.get("OPENAI_WEBHOOK_SECRET", SAMPLE_SECRET),
        help="the endpoint's signing secret; default: $OPENAI_WEBHOOK_SECRET, or else a public sample secret",
    )
    parser.add_argument("--endpoint", default="project", help="project (the default) or organization")
    parser.add_argument("--forge", action="store_true", help="sign with another key, which the verifier must reject")
    options = parser.parse_args(arguments)

    try:
        signing_key = key(options.secret)
        text = sys.stdin.read() if str(options.body) == "-" else options.body.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    # OpenAI's bodies do not end with the line feed of the file.
    body = text.removesuffix("\n")
    event = http_api_event(body, options.endpoint, FORGED_KEY if options.forge else signing_key, time.time())
    print(json.dumps(event, indent=2))


if __name__ == "__main__":
    main()
