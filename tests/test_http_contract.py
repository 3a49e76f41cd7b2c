"""The HTTP contract of the webhook URLs: what gets in, what is refused, and how the sender is told."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from infra.local.emulator import Emulator
from infra.local.stack import CATEGORIES, Stack, create, new_signing_secret, unhandled
from tests.conftest import MakeStack
from tests.deliveries import Answer, Headers, event, send, sign, signed
from tests.waiting import wait_until

MAX_BODY = 256 * 1024
WINDOW_SECONDS = 300
NOBODY = "http://127.0.0.1:9"
BINARY = "application/octet-stream"
"""A body of this type is handed to the function in base64."""

MakeHeaders = Callable[[str, bytes], Headers]


@pytest.fixture(scope="module")
def stack(emulator: Emulator) -> Iterator[Stack]:
    """One stack for all that is refused, because nothing of it stays behind."""
    stack = create(emulator, f"t-http-contract-{emulator.port}", NOBODY, unhandled())
    stack.fill_secrets()
    yield stack
    stack.delete()


def refused(stack: Stack, answer: Answer, status: int, reason: str) -> None:
    """Check a refusal, and that nothing of the delivery went on."""
    assert (answer.status, answer.json().get("reason")) == (status, reason), answer
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert {category: stack.messages(category) for category in CATEGORIES} == {category: [] for category in CATEGORIES}
    assert stack.ledger() == []


def without(name: str) -> MakeHeaders:
    return lambda secret, body: [header for header in signed(secret, body) if header[0] != name]


def with_value(name: str, value: str) -> MakeHeaders:
    return lambda secret, body: [(n, value if n == name else v) for n, v in signed(secret, body)]


def twice(name: str) -> MakeHeaders:
    return lambda secret, body: [header for header in signed(secret, body) for _ in range(1 + (header[0] == name))]


def at(offset: int) -> MakeHeaders:
    return lambda secret, body: signed(secret, body, timestamp=str(int(time.time()) + offset))


def stamped(timestamp: str) -> MakeHeaders:
    return lambda secret, body: signed(secret, body, timestamp=timestamp)


def forged(_secret: str, body: bytes) -> Headers:
    return signed(new_signing_secret(), body)


def of_another_body(secret: str, _body: bytes) -> Headers:
    return signed(secret, event())


def of_an_unknown_version(secret: str, body: bytes) -> Headers:
    return [(name, value.replace("v1,", "v1a,")) for name, value in signed(secret, body)]


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        pytest.param(without("webhook-id"), 400, "missing_header", id="no-id"),
        pytest.param(without("webhook-timestamp"), 400, "missing_header", id="no-timestamp"),
        pytest.param(without("webhook-signature"), 400, "missing_header", id="no-signature"),
        pytest.param(with_value("webhook-id", ""), 400, "missing_header", id="empty-id"),
        pytest.param(twice("webhook-id"), 400, "duplicate_header", id="two-ids"),
        pytest.param(twice("webhook-timestamp"), 400, "duplicate_header", id="two-timestamps"),
        pytest.param(twice("webhook-signature"), 400, "duplicate_header", id="two-signatures-headers"),
        pytest.param(stamped("yesterday"), 400, "malformed_timestamp", id="timestamp-in-words"),
        pytest.param(stamped("-1"), 400, "malformed_timestamp", id="negative-timestamp"),
        pytest.param(stamped("9" * 40), 401, "timestamp_too_new", id="timestamp-beyond-64-bits"),
        pytest.param(at(-WINDOW_SECONDS - 5), 401, "timestamp_too_old", id="old"),
        pytest.param(at(WINDOW_SECONDS + 5), 401, "timestamp_too_new", id="future"),
        pytest.param(forged, 401, "no_matching_signature", id="forged"),
        pytest.param(of_another_body, 401, "no_matching_signature", id="signature-of-another-body"),
        pytest.param(of_an_unknown_version, 401, "no_matching_signature", id="signature-of-an-unknown-version"),
        pytest.param(with_value("webhook-id", "wh_other"), 401, "no_matching_signature", id="another-id"),
    ],
)
def test_a_delivery_that_is_not_proven_genuine_never_reaches_a_queue(
    stack: Stack, headers: MakeHeaders, status: int, reason: str
) -> None:
    body = event()

    answer = send(stack.url(), body, headers(stack.signing_secrets["project"], body))

    refused(stack, answer, status, reason)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not JSON", id="no-json"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b'{"id": "evt_1"}', id="no-type"),
        pytest.param(b'{"id": "evt_1", "type": ""}', id="empty-type"),
        pytest.param(b'{"type": "batch.completed"}', id="no-id"),
        pytest.param(b'{"id": "\xff", "type": "batch.completed"}', id="no-utf-8"),
    ],
)
def test_a_signed_body_that_is_not_an_event_is_malformed(stack: Stack, body: bytes) -> None:
    headers = signed(stack.signing_secrets["project"], body)

    answer = send(stack.url(), body, headers, content_type=BINARY)

    refused(stack, answer, 400, "malformed_body")


def test_the_secret_of_one_endpoint_opens_no_other(stack: Stack) -> None:
    body = event()

    answer = send(stack.url("organization"), body, signed(stack.signing_secrets["project"], body))

    refused(stack, answer, 401, "no_matching_signature")


def test_a_body_is_too_large_from_one_byte_over_the_limit(stack: Stack) -> None:
    body = event().ljust(MAX_BODY + 1)

    answer = send(stack.url(), body, signed(stack.signing_secrets["project"], body))

    refused(stack, answer, 413, "body_too_large")


def test_an_endpoint_that_nobody_set_up_is_unknown(stack: Stack) -> None:
    body = event()

    answer = send(stack.base_url() + "/webhooks/nobody", body, signed(stack.signing_secrets["project"], body))

    refused(stack, answer, 404, "unknown_endpoint")


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/project/more"])
def test_a_path_that_is_not_an_endpoint_is_refused_by_the_api(stack: Stack, path: str) -> None:
    body = event()

    answer = send(stack.base_url() + path, body, signed(stack.signing_secrets["project"], body))

    assert (answer.status, answer.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_endpoint_takes_nothing_but_posts(stack: Stack, method: str) -> None:
    body = event()

    answer = send(stack.url(), body, signed(stack.signing_secrets["project"], body), method)

    assert (answer.status, answer.json()) == (404, {"message": "Not Found"})


def test_what_the_scheme_allows_gets_in(make_stack: MakeStack) -> None:
    stack = make_stack(**unhandled())
    secret, now = stack.signing_secrets["project"], int(time.time())
    plain, largest, early, late, padded, among_others, binary = (event() for _ in range(7))
    largest = largest.ljust(MAX_BODY)
    stranger = new_signing_secret()
    deliveries = [
        (plain, signed(secret, plain)),
        (largest, signed(secret, largest)),
        (early, signed(secret, early, timestamp=str(now - WINDOW_SECONDS + 30))),
        (late, signed(secret, late, timestamp=str(now + WINDOW_SECONDS - 30))),
        (padded, signed(secret, padded, timestamp=f"000{now}")),
        (
            among_others,
            [
                (name, f"v1a,AAAA {value}" if name == "webhook-signature" else value)
                for name, value in signed([stranger, secret], among_others)
            ],
        ),
    ]

    answers = [send(stack.url(), body, headers) for body, headers in deliveries]
    answers.append(send(stack.url(), binary, signed(secret, binary), content_type=BINARY))

    assert [(answer.status, answer.json()) for answer in answers] == [(200, {"received": True})] * 7
    sent = {binary, *(body for body, _ in deliveries)}
    assert {message.body.encode() for message in stack.messages("batch")} == sent


def test_a_delivery_that_nobody_can_check_yet_is_asked_for_again_later(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)
    body = event()

    answer = send(stack.url(), body, signed(new_signing_secret(), body))

    refused(stack, answer, 503, "secret_unavailable")
    assert int(answer.headers["retry-after"]) > 0

    def told() -> bool:
        return any("secretsmanager put-secret-value" in line for line in stack.logs("verifier"))

    wait_until("the log says how to set the secret", told)


def test_no_answer_and_no_log_line_gives_anything_secret_away(stack: Stack) -> None:
    secret, body = stack.signing_secrets["project"], event(object_id="resp_very_private")
    headers = [("webhook-id", "wh_1"), ("webhook-timestamp", str(int(time.time())))]
    signature = sign(new_signing_secret(), *(value for _, value in headers), body)

    answer = send(stack.url(), body, [*headers, ("webhook-signature", signature)])

    def logged() -> list[str]:
        return [line for line in stack.logs("verifier") if "no_matching_signature" in line]

    lines = wait_until("the refusal is logged", logged)
    for text in [answer.body.decode(), json.dumps(answer.headers), *lines, *stack.logs("verifier")]:
        assert "resp_very_private" not in text
        assert signature.removeprefix("v1,") not in text
        assert secret.removeprefix("whsec_") not in text
