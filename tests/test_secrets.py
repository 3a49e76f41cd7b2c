"""Secrets that come, change and go while deliveries arrive."""

import json
from collections.abc import Callable, Iterator

import pytest

from infra.local.stack import Stack, new_signing_secret
from infra.local.stand_in import API_KEY, StandIn
from tests.batches import finish, handled, new_batch, tried
from tests.between import Between, Request
from tests.conftest import MakeStack
from tests.deliveries import event, send, signed
from tests.waiting import wait_until

DAY_SECONDS = 24 * 3600
STAGES = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")


@pytest.fixture
def between(stack: Stack) -> Iterator[Between]:
    """What the verifier asks of AWS passes through here."""
    with Between(stack) as between:
        between.take("verifier")
        yield between


def put(stack: Stack, secret: str, stage: str = "AWSCURRENT") -> str:
    """Store a value of the project's signing secret at a stage and answer the version's id."""
    secrets = stack.emulator.client("secretsmanager")
    stored = secrets.put_secret_value(SecretId=stack.secret_id("project"), SecretString=secret, VersionStages=[stage])
    return stored["VersionId"]


def status(stack: Stack, *secrets: str) -> int:
    """How a delivery signed with these secrets is answered."""
    body = event()
    return send(stack.url(), body, signed(secrets, body)).status


def start_anew(stack: Stack, function: str) -> None:
    """Let the next invocation have a process of its own, which knows nothing yet."""
    stack.set_environment(function)


def is_secret_read(request: Request) -> bool:
    return request.operation == "secretsmanager.GetSecretValue"


def made_before(seconds: float) -> Callable[[bytes], bytes]:
    """A change of what Secrets Manager answers: the value was made so long before it really was."""

    def change(answer: bytes) -> bytes:
        value = json.loads(answer)
        return json.dumps({**value, "CreatedDate": value["CreatedDate"] - seconds}).encode()

    return change


def test_a_running_function_follows_a_rotation_and_takes_the_old_secret_as_well_as_the_new(stack: Stack) -> None:
    old, new, following, stranger = stack.signing_secrets["project"], *(new_signing_secret() for _ in range(3))
    assert status(stack, old) == 200
    (process,) = stack.processes("verifier")

    put(stack, new)
    put(stack, following, "AWSPENDING")

    answers = [status(stack, *by) for by in [(new,), (old,), (new, old), (stranger, old), (following,), (stranger,)]]
    assert answers == [200, 200, 200, 200, 200, 401]
    assert stack.processes("verifier") == [process]


def test_the_old_secret_is_refused_once_the_new_one_is_a_day_old(stack: Stack, between: Between) -> None:
    old, new = stack.signing_secrets["project"], new_signing_secret()
    put(stack, new)

    between.change(is_secret_read, made_before(DAY_SECONDS - 60))
    assert (status(stack, old), status(stack, new)) == (200, 200)

    between.change(is_secret_read, made_before(DAY_SECONDS + 60))
    start_anew(stack, "verifier")  # The process would read the secrets again after five minutes.
    assert (status(stack, old), status(stack, new)) == (401, 200)


def test_a_secret_that_is_withdrawn_before_its_time_is_refused(stack: Stack) -> None:
    old, new, following = stack.signing_secrets["project"], new_signing_secret(), new_signing_secret()
    secrets, secret_id = stack.emulator.client("secretsmanager"), stack.secret_id("project")
    put(stack, new)
    put(stack, following, "AWSPENDING")
    assert (status(stack, following), status(stack, old), status(stack, new)) == (200, 200, 200)

    versions = secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"]
    for version, stages in versions.items():
        for stage in {"AWSPENDING", "AWSPREVIOUS"} & set(stages):
            secrets.update_secret_version_stage(SecretId=secret_id, VersionStage=stage, RemoveFromVersionId=version)
    start_anew(stack, "verifier")

    assert (status(stack, following), status(stack, old), status(stack, new)) == (401, 401, 200)


def test_forged_deliveries_cannot_run_up_the_bill(stack: Stack, between: Between) -> None:
    assert status(stack, stack.signing_secrets["project"]) == 200
    before = between.count("secretsmanager.GetSecretValue")

    answers = {status(stack, new_signing_secret()) for _ in range(25)}

    assert answers == {401}
    assert between.count("secretsmanager.GetSecretValue") - before <= len(STAGES)


def test_what_arrives_before_the_secrets_are_set_is_only_late(make_stack: MakeStack, openai: StandIn) -> None:
    stack, secret = make_stack(fill_secrets=False), new_signing_secret()
    openai.register(stack.url(), secret)
    batch_id = new_batch(openai)

    delivery = finish(openai, batch_id)

    def attempts() -> list[dict]:
        return openai.deliveries(webhook_id=delivery["webhook_id"])[0]["attempts"]

    first = wait_until("the delivery was answered", attempts)[0]
    assert (first["status"], json.loads(first["answer"])["reason"]) == (503, "secret_unavailable")
    stack.set_secret("project", secret)
    wait_until("the delivery was accepted", lambda: attempts()[-1]["status"] == 200)

    error = tried(stack, delivery)["error"]["message"]
    assert "put-secret-value" in error
    stack.set_secret("api-key", API_KEY)
    start_anew(stack, "batch")  # The process would read the key again after half a minute.
    assert handled(stack, delivery)["outcome"]["status"] == "completed"
