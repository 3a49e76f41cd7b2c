"""What goes wrong in a campaign: between the functions and AWS, with the functions, and by people."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.chaos.plan import Plan
from infra.local.processes import ROOT
from infra.local.proxy import Proxy, Request, Treatment
from infra.local.stack import CATEGORIES, FunctionError, Stack

_COMMAND = ROOT / "target" / "local" / "openai-webhooks"
_COMMAND_TIMEOUT_SECONDS = 120.0

LONGEST_WAIT_SECONDS = 6
"""Longest time that a message stays hidden in a campaign: a function may ask for hours, and nobody waits for that."""

_FAULT_SHARE = 0.04
"""Share of the requests to AWS that fail by themselves."""
_STORM_SHARE = 0.7
"""Share of the requests of one operation that fail while that operation is out of order."""
_STORM_SECONDS = 2.0
_STORMS_EVERY_SECONDS = 5.0
_KILLS_EVERY_SECONDS = 1.5
_DYING_SHARE = 0.07
"""Share of the commands that are killed. A redrive that dies hides the letters that it has read for a minute."""
_PERSON_EVERY_SECONDS = 1.5

_OPERATIONS: dict[str, Callable[[Request], bool]] = {
    "DynamoDB UpdateItem": lambda request: request.operation.endswith("UpdateItem"),
    "SQS SendMessage": lambda request: request.operation.endswith("SendMessage"),
    "SQS ChangeMessageVisibility": lambda request: request.operation.endswith("ChangeMessageVisibility"),
    "EventBridge PutEvents": lambda request: request.operation.endswith("PutEvents"),
    "SNS Publish": lambda request: request.body.startswith(b"Action=Publish"),
    "S3 PutObject": lambda request: request.method == "PUT",
    "Secrets Manager": lambda request: request.operation.startswith("secretsmanager."),
    "Systems Manager": lambda request: request.operation.startswith("AmazonSSM."),
}
_THROTTLED = (400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}')


class Weather(Proxy):
    """Proxy that fails, is slow and loses requests and answers at random, until it is calm."""

    def __init__(self, stack: Stack, random: Random) -> None:
        """Start it. The weather is calm at first."""
        self._random = random
        self._lock = threading.Lock()
        self._storm: tuple[str, float] = ("", 0.0)
        self.is_calm = True
        self.counts: Counter[str] = Counter()
        """What was done to requests, by kind."""
        super().__init__(stack)

    def treat(self, request: Request) -> Treatment:
        """Let it pass, or not."""
        body = _hidden_for_less(request)
        if self.is_calm:
            return Treatment(body=body)
        with self._lock:
            random = self._random
            name, until = self._storm
            is_storm = time.monotonic() < until and _OPERATIONS[name](request)
            if random.random() >= (_STORM_SHARE if is_storm else _FAULT_SHARE):
                return Treatment(body=body)
            kind = random.choices(("refused", "answer lost", "request lost", "slow"), (4, 3, 1, 3))[0]
            self.counts[kind] += 1
            match kind:
                case "refused":
                    is_table = request.operation.startswith("DynamoDB")
                    answers = [(500, b""), (503, b""), *([_THROTTLED] if is_table else [])]
                    return Treatment(answer=random.choice(answers))
                case "answer lost":
                    return Treatment(lose="answer", body=body)
                case "request lost":
                    return Treatment(lose="request")
                case _:
                    return Treatment(delay=random.choice((0.05, 0.2, 1.0, 2.5)), body=body)

    def storm(self) -> None:
        """Put one operation out of order for a while."""
        with self._lock:
            self._storm = (self._random.choice(list(_OPERATIONS)), time.monotonic() + _STORM_SECONDS)
            self.counts["storms"] += 1


def _hidden_for_less(request: Request) -> bytes | None:
    """Body of a request to hide a message for long, with a shorter time."""
    if not request.operation.endswith("ChangeMessageVisibility"):
        return None
    asked = json.loads(request.body)
    return json.dumps({**asked, "VisibilityTimeout": min(asked["VisibilityTimeout"], LONGEST_WAIT_SECONDS)}).encode()


class Trouble:
    """Everything that goes wrong, from `start` to `stop`."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        """Put every function behind a proxy."""
        self._stack = stack
        self._plan = plan
        self._over = threading.Event()
        self._error: Exception | None = None
        self.weather = Weather(stack, Random(plan.seed + 1))
        self._names = ("verifier", "reconcile", *CATEGORIES)
        for function in self._names:
            self.weather.take(function)
        self.counts: Counter[str] = Counter()
        """What people and crashes did, by kind."""
        self.delivered: list[str] = []
        """Webhook ids that were delivered so far."""
        self._threads = [
            threading.Thread(target=self._repeat, args=(act, every, Random(plan.seed + number)), daemon=True)
            for number, (act, every) in enumerate(
                (
                    (self._crash, _KILLS_EVERY_SECONDS),
                    (self._person, _PERSON_EVERY_SECONDS),
                    (lambda _: self.weather.storm(), _STORMS_EVERY_SECONDS),
                ),
                start=2,
            )
        ]

    def start(self) -> None:
        """Begin."""
        self.weather.is_calm = False
        for thread in self._threads:
            thread.start()

    def calm(self) -> None:
        """End all of it. The proxy goes on passing requests on. Raises what a part of it failed with."""
        self._over.set()
        self.weather.is_calm = True
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def redrive(self) -> None:
        """Redrive every dead letter."""
        self._command("dlq", "redrive", "--yes", "--json")

    def _repeat(self, act: Callable[[Random], Any], every: float, random: Random) -> None:
        while not self._over.wait(random.expovariate(1 / every)):
            try:
                act(random)
            except Exception as error:
                self._error = error
                return

    def _crash(self, random: Random) -> None:
        """Kill the processes of a function, at work or not."""
        function = random.choice(self._names)
        self.counts["processes killed"] += self._stack.kill(function, self.weather.url)

    def _person(self, random: Random) -> None:
        """Redrive, replay or reconcile. Now and then the command dies half way."""
        dies_after = random.uniform(0.05, 0.5) if random.random() < _DYING_SHARE else None
        match random.choices(("redrive", "replay", "reconcile"), (5, 4, 1))[0]:
            case "redrive":
                self.counts["redrives"] += 1
                self._command("dlq", "redrive", "--yes", "--json", dies_after=dies_after)
            case "replay":
                chosen = random.sample(self.delivered[:], min(3, len(self.delivered)))
                for webhook_id in chosen:
                    self.counts["replays"] += 1
                    self._command("events", "replay", webhook_id, "--yes", "--json", dies_after=dies_after)
            case _:
                self.counts["reconciliations"] += 1
                # It may be killed, or be slower than anybody waits for.
                with suppress(FunctionError, BotoCoreError, ClientError):
                    self._stack.invoke("reconcile", {"task": "reconcile"})

    def _command(self, *arguments: str, dies_after: float | None = None) -> None:
        """Run the command line. It may fail: an event may not be in the ledger yet."""
        try:
            command(self._stack, *arguments, timeout=dies_after or _COMMAND_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            if dies_after is None:
                raise
            self.counts["commands killed"] += 1


def command(
    stack: Stack, *arguments: str, timeout: float = _COMMAND_TIMEOUT_SECONDS
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line on a stack. It is killed after `timeout` seconds."""
    return subprocess.run(
        [_COMMAND, *arguments], capture_output=True, env=stack.command_environment(), timeout=timeout, check=False
    )
