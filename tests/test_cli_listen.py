"""`listen` and `logs`: events as they come, delivered to a program on this machine, and what the functions say."""

import base64
import hashlib
import hmac
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.web_server import Answer, Request, WebServer
from tests.batches import given_up, handled
from tests.cli import BINARY, Cli
from tests.waiting import stays, wait_until


class Receiver(WebServer):
    """A program on this machine that takes webhooks."""

    def __init__(self, status: int = 200) -> None:
        """Start it. It answers with the status."""
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self._status = status
        super().__init__(self._take)
        self.url += "/webhook"

    def _take(self, request: Request) -> Answer:
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, request.body))
        return self._status, (), b""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 200."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def cli(stack: Stack) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack)


@contextmanager
def running(cli: Cli, *arguments: str) -> Iterator[list[Any]]:
    """The command, and what it has said so far: the documents on its stdout."""
    command = [str(word) for word in (BINARY, *arguments, "--json")]
    process = subprocess.Popen(command, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: list[Any] = []

    def lines() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(json.loads(line))

    reader = threading.Thread(target=lines, daemon=True)
    reader.start()
    try:
        yield said
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0, process.stderr and process.stderr.read()
    finally:
        process.kill()
        process.wait()


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a delivery is signed as OpenAI signs."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{signature}"


def test_events_reach_a_program_on_this_machine_signed_for_a_secret_that_is_printed(
    stack: Stack, openai: StandIn, receiver: Receiver, cli: Cli
) -> None:
    before = len(openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True))
    with running(cli, "listen", "--forward-to", receiver.url, "--type", "file.*") as said:
        secret = wait_until("the secret is printed", lambda: said and said[0]["secret"])
        bodies = {}
        for _ in range(5):
            (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
            event = handled(stack, delivery)
            bodies[delivery["webhook_id"]] = event["body"]
        openai.deliver("video.completed", {"id": "video_1"}, wait=True)
        wait_until("all have come", lambda: len(receiver.requests) >= 5)
        stays("each comes once, and nothing else", lambda: len(receiver.requests) == 5, 1)

    assert before == 1
    assert {headers["webhook-id"]: body.decode() for headers, body in receiver.requests} == bodies
    assert all(is_signed(secret, headers, body) for headers, body in receiver.requests)
    assert all(line["delivery"]["status"] == 200 for line in said[1:])
    assert len(said) == 6


def test_what_became_of_events_is_told_instead_and_nothing_is_retried(stack: Stack, openai: StandIn, cli: Cli) -> None:
    refusing = Receiver(status=500)
    with running(cli, "listen", "--forward-to", refusing.url, "--outcomes") as said:
        wait_until("the secret is printed", lambda: said)
        (good,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
        handled(stack, good)
        openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
        (bad,) = openai.deliver("file.processed", {"id": "file-1"}, wait=True)
        given_up(stack, bad)
        wait_until("both are told", lambda: len(said) == 3)
        stays("nothing is told twice", lambda: len(refusing.requests) == 2, 1)
        cli.ok("events", "replay", good["webhook_id"], "--yes")
        wait_until("the end of a replay is told, too", lambda: len(said) == 4)
    refusing.stop()
    details = {headers["webhook-id"]: json.loads(body) for headers, body in refusing.requests}
    assert details[good["webhook_id"]]["source"] == "openai.webhooks"
    assert details[good["webhook_id"]]["detail"]["status"] == "processed"
    assert details[good["webhook_id"]]["detail"]["bucket"] == stack.outputs["BucketName"]
    failed = details[bad["webhook_id"]]["detail"]
    assert (failed["status"], failed["error"]["reason"]) == ("failed", "unauthorized")
    assert {line["delivery"]["status"] for line in said[1:]} == {500}


def test_a_tail_begins_with_what_came_before_if_that_is_asked_for(stack: Stack, openai: StandIn, cli: Cli) -> None:
    (first,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    handled(stack, first)
    with running(cli, "listen", "--since", "1h") as said:
        wait_until("it is told", lambda: len(said) == 1)
        (second,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
        wait_until("the next one, too", lambda: len(said) == 2)
    assert [line["webhook_id"] for line in said] == [first["webhook_id"], second["webhook_id"]]
    assert "delivery" not in said[0]


def test_nobody_there_is_told_and_the_listening_goes_on(stack: Stack, openai: StandIn, cli: Cli) -> None:
    # A port that is taken, so that nobody else can listen there, and that nobody listens on.
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{nobody.getsockname()[1]}/webhook"
    with nobody, running(cli, "listen", "--forward-to", url) as said:
        wait_until("the secret is printed", lambda: said)
        for _ in range(2):
            (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
            handled(stack, delivery)
        wait_until("both are told", lambda: len(said) == 3)
    assert all("no answer" in line["delivery"]["error"] for line in said[1:])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("listen", "--forward-to", "ftp://localhost/"), 2, "neither an http nor an https URL"),
        (("listen", "--forward-to", "nonsense"), 2, "not a URL, such as http://localhost:3000/webhook"),
        (("send", "--url", "nonsense"), 2, "not a URL, such as http://localhost:3000/webhook"),
        (("listen", "--secret-file", "/nonexistent"), 2, "--forward-to"),
        (("listen", "--type", "*.x"), 2, "not at its end"),
        (("listen", "--stack", "no-such-stack"), 1, "no-such-stack"),
        (("logs", "nobody"), 2, "verifier"),
        (("logs", "register"), 1, "no log group"),
        (("logs", "file", "--event", "wh_nobody_has_it"), 1, "events list"),
        (("logs", "file", "--limit", "0"), 2, "--limit"),
    ],
)
def test_bad_usage_is_told(stack: Stack, cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cli.run(*arguments)
    assert (result.code, result.out) == (code, "")
    assert said in result.err


def test_the_log_of_a_function_is_shown_and_that_of_one_event(stack: Stack, openai: StandIn, cli: Cli) -> None:
    deliveries = []
    for _ in range(2):
        (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
        handled(stack, delivery)
        deliveries.append(delivery)
    ids = [delivery["webhook_id"] for delivery in deliveries]
    wait_until("the lines are there", lambda: all(any(i in line for line in stack.logs("file")) for i in ids))

    whole = cli.run("logs", "file")
    assert whole.code == 0
    assert all(webhook_id in whole.out for webhook_id in ids)
    assert "event handled" in whole.out
    for function in ("file", "verifier"):
        result = cli.run("logs", function, "--event", ids[0], "--json")
        lines = [json.loads(line) for line in result.out.splitlines()]
        assert lines, function
        assert all(ids[0] in json.dumps(line) for line in lines)
        assert ids[1] not in result.out
    with running(cli, "logs", "file", "--follow") as said:
        wait_until("what was there is shown", lambda: said)
        (third,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
        wait_until("what comes is shown", lambda: any(third["webhook_id"] in json.dumps(line) for line in said))
