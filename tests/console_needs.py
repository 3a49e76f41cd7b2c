"""What makes the deployed console use each of its permissions: its pages, and what is done by its API."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.local.pictures import pages
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.test_console_deployed import link
from tests.visitor import Visitor

REFUSED = re.compile(r"AccessDenied|AuthorizationError|not authorized|Your AWS identity needs")


@dataclass(frozen=True)
class ConsoleUser:
    """Program that has signed in to the console of a stack."""

    stack: Stack
    openai: StandIn
    ids: dict[str, str]
    """Ids of what the stack is filled with, by name; empty where it is not."""
    token: str

    @classmethod
    def of(cls, stack: Stack, openai: StandIn, ids: dict[str, str]) -> "ConsoleUser":
        """Sign in, which takes permissions, too."""
        given = link(stack).partition("link=")[2]
        session = Visitor(stack.base_url()).post_json("/api/session", {"link": given})
        assert session.status == 200, session.text
        return cls(stack, openai, ids, session.json()["token"])

    def get(self, path: str) -> str:
        """Look, and answer what is said."""
        page = Visitor(self.stack.base_url()).get(path, Authorization=f"Bearer {self.token}")
        return f"{path}: {page.status} {page.text}"

    def post(self, path: str, **content: object) -> str:
        """Act, and answer what is said."""
        page = Visitor(self.stack.base_url()).post_json(path, content, Authorization=f"Bearer {self.token}")
        return f"{path}: {page.status} {page.text}"

    def refusals(self, sid: str, action: str) -> Iterator[str]:
        """Use the permission, and tell the answers that say that something was refused."""
        use = _USES.get((sid, action)) or _tour
        return (answer for answer in use(self) if REFUSED.search(answer))


def _tour(user: ConsoleUser) -> Iterator[str]:
    """Every page."""
    return (user.get(f"/console{path}") for path in pages(user.ids).values())


def _signing_in(user: ConsoleUser) -> Iterator[str]:
    try:
        link(user.stack)
    except AssertionError as refused:
        yield str(refused)


def _replay(user: ConsoleUser) -> Iterator[str]:
    yield user.post("/api/replays", events=[f"project/{user.ids['failed']}"])


def _look_at_letters(user: ConsoleUser) -> Iterator[str]:
    # Those that somebody has just looked at are invisible for a while.
    queue = user.stack.dead_letter_queue_url("response")
    user.stack.emulator.client("sqs").send_message(QueueUrl=queue, MessageBody="not an event")
    yield user.get("/console/dead-letters")


def _rotate(user: ConsoleUser) -> Iterator[str]:
    url = user.stack.url()
    (endpoint,) = [it["id"] for it in user.openai.endpoints() if it["url"] == url]
    yield user.post(f"/api/endpoints/{endpoint}/rotate")


def _roll_back(user: ConsoleUser) -> Iterator[str]:
    yield user.post("/api/models/support/rollback")


def _subscribe(user: ConsoleUser) -> Iterator[str]:
    yield user.post("/api/alerts/subscriptions", endpoint="oncall@example.com", severities=["critical"])


def _test_alert(user: ConsoleUser) -> Iterator[str]:
    yield user.post("/api/alerts/test", severity="info")


def _resume(user: ConsoleUser) -> Iterator[str]:
    yield user.post("/api/consumers/file", running=True)


def _batches(user: ConsoleUser) -> Iterator[str]:
    yield user.get("/console/batches")


def _policy(user: ConsoleUser) -> Iterator[str]:
    yield user.get("/console/calls/policy")


_USES: dict[tuple[str, str], Callable[[ConsoleUser], Iterator[str]]] = {
    ("WriteLedger", "dynamodb:UpdateItem"): _signing_in,
    ("BeginJobs", "dynamodb:PutItem"): _replay,
    ("BeginJobs", "dynamodb:BatchWriteItem"): _replay,
    ("SendEventsAgainAndCalls", "sqs:SendMessage"): _replay,
    ("HandleDeadLetters", "sqs:ReceiveMessage"): _look_at_letters,
    ("RotateSigningSecrets", "secretsmanager:GetSecretValue"): _rotate,
    ("RotateSigningSecrets", "secretsmanager:PutSecretValue"): _rotate,
    ("PromoteModels", "ssm:PutParameter"): _roll_back,
    ("ManageAlerts", "sns:Subscribe"): _subscribe,
    ("ManageAlerts", "sns:Publish"): _test_alert,
    ("ListConsumers", "lambda:ListEventSourceMappings"): _resume,
    ("ReadApiKey", "secretsmanager:GetSecretValue"): _batches,
    ("GetIdentityToken", "sts:GetWebIdentityToken"): _batches,
    ("ReadCallPolicy", "ssm:GetParameter"): _policy,
    ("ReadCallPolicy", "s3:GetObject"): _policy,
}
"""What uses a permission, where it is not the pages."""
