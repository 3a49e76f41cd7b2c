"""Supervisors as containers: the same binary without Lambda, which takes its sessions from the queue."""

import datetime
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.container import variables
from infra.local.deploy import BINARIES
from infra.local.emulator import ACCESS_KEY
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.web_server import Answer, Request, WebServer
from tests.test_supervisor import Call
from tests.waiting import wait_until

POLICY = {
    "answer_as": "realtime",
    "default": {"accept": {"session": {"model": "gpt-realtime-2.1"}, "supervise": {"greeting": "Welcome."}}},
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts containers' processes, and stops them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(stack: Stack, openai: StandIn, credentials_url: str | None = None) -> subprocess.Popen[bytes]:
        environment = variables(stack, stack.emulator.endpoint_url, openai.base_url)
        if credentials_url is not None:
            del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = credentials_url
        with (tmp_path / f"container-{len(started)}.log").open("wb") as log:
            started.append(subprocess.Popen([BINARIES / "supervisor"], env=environment, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.stack(SupervisorHost="container")
def test_a_container_takes_calls_and_hands_them_over_when_it_stops(
    stack: Stack, openai: StandIn, run: Callable[..., subprocess.Popen[bytes]]
) -> None:
    first = run(stack, openai)
    stack.set_call_policy(json.dumps(POLICY))
    script = [{"await": "attach"}, {"caller": "Hello"}]
    calls = [Call(stack, openai, "realtime", {"script": script}) for _ in range(3)]
    for call in calls:
        wait_until("the call is supervised", lambda call=call: call.state() == "active")
        wait_until("the caller is greeted", lambda call=call: "Welcome." in call.said())
    assert stack.processes("supervisor") == []

    second = run(stack, openai)
    first.terminate()
    for call in calls:
        wait_until("the other container has it", lambda call=call: (call.record() or {}).get("generation", 0) >= 2)
        call.play({"caller": "Goodbye"}, {"wait": 1500}, "hang_up")

    for call in calls:
        job = call.ended()
        assert job["summary"]["reason"] == "remote_hangup"
        assert ("caller", "Goodbye") in call.transcript()
        assert call.said().count("Welcome.") == 1
    assert first.wait(timeout=60) == 0
    assert second.poll() is None


@pytest.mark.stack(SupervisorHost="container")
def test_a_container_takes_the_credentials_of_its_host(
    stack: Stack, openai: StandIn, run: Callable[..., subprocess.Popen[bytes]]
) -> None:
    asked = []

    def give(request: Request) -> Answer:
        """Give credentials for some minutes."""
        asked.append(request.path)
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=6)
        body = {
            "AccessKeyId": ACCESS_KEY,
            "SecretAccessKey": ACCESS_KEY,
            "Token": "session",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return 200, [("Content-Type", "application/json")], json.dumps(body).encode()

    with WebServer(give) as host:
        run(stack, openai, f"{host.url}/credentials")
        stack.set_call_policy(json.dumps(POLICY))
        call = Call(stack, openai, "realtime", {"script": [{"await": "attach"}, {"wait": 2000}, "hang_up"]})
        assert call.ended()["summary"]["reason"] == "remote_hangup"
    assert "/credentials" in asked
