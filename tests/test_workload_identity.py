"""No API key at all: the functions take short-lived tokens for their own roles."""

from pathlib import Path
from typing import Any

import pytest

from infra.local import deploy
from infra.local.stack import Stack, new_signing_secret
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import finish, handled, new_batch
from tests.cli import Cli
from tests.conftest import MakeStack
from tests.permissions import take_away, without
from tests.waiting import wait_until

PROVIDER, ACCOUNT = "idp_1", "svc_1"
IDENTITY = {"OpenAIIdentityProviderId": PROVIDER, "OpenAIServiceAccountId": ACCOUNT}
PERMISSIONS = [
    f"api.{name}"
    for name in (
        "agents.read", "batches.read", "batches.write", "files.read", "files.write", "fine_tuning.read", "live.write",
        "model.read", "realtime.write", "responses.read", "responses.write", "safety.alerts.read", "safety.read",
        "webhooks.read", "webhooks.write",
    )
]  # fmt: skip


def set_up(openai: StandIn, **changes: Any) -> None:
    """Let the roles of every stack act as the service account."""
    # The emulator's tokens name the account and not the role.
    usual = {
        "identity_provider_id": PROVIDER,
        "service_account_id": ACCOUNT,
        "subjects": ["arn:aws:iam::000000000000:"],
    }
    openai.command("POST", "identity", {**usual, "permissions": PERMISSIONS, "expires_in": 3600, **changes})


@pytest.fixture
def keyless(make_stack: MakeStack, openai: StandIn) -> Stack:
    """A stack without an API key, and the identity set up at OpenAI."""
    set_up(openai)
    return subscribed(make_stack(fill_secrets=False, **IDENTITY), openai)


def subscribed(stack: Stack, openai: StandIn) -> Stack:
    for endpoint in ("project", "organization"):
        stack.signing_secrets[endpoint] = new_signing_secret()
        stack.set_secret(endpoint, stack.signing_secrets[endpoint])
    stack.subscribe(openai)
    return stack


def exchanges(openai: StandIn) -> int:
    return openai.calls("POST", "/oauth/token")


def test_a_function_fetches_with_a_token_of_its_own_role_and_no_key_is_stored(keyless: Stack, openai: StandIn) -> None:
    assert "OpenAIApiKeySecretArn" not in keyless.outputs
    secrets = keyless.emulator.client("secretsmanager").list_secrets()["SecretList"]
    assert not [it for it in secrets if it["Name"].startswith(f"{keyless.name}-OpenAIApiKeySecret")]

    event = handled(keyless, finish(openai, new_batch(openai)))

    assert event["outcome"]["status"] == "completed"


def test_a_token_is_used_again_until_shortly_before_its_end(keyless: Stack, openai: StandIn) -> None:
    for _ in range(3):
        handled(keyless, finish(openai, new_batch(openai)))

    assert exchanges(openai) == 1


def test_a_short_lived_token_is_replaced_in_time(make_stack: MakeStack, openai: StandIn) -> None:
    set_up(openai, expires_in=1)
    stack = subscribed(make_stack(fill_secrets=False, **IDENTITY), openai)
    handled(stack, finish(openai, new_batch(openai)))

    def another() -> bool:
        handled(stack, finish(openai, new_batch(openai)))
        return exchanges(openai) > 1

    wait_until("another token is taken", another)


def test_a_function_asks_for_its_own_permissions_alone() -> None:
    scopes = {
        name: function["Properties"].get("Environment", {}).get("Variables", {}).get("OPENAI_SCOPE")
        for name, function in deploy.functions().items()
    }
    assert scopes["batch"] == "api.batches.read api.files.read"
    assert {name for name, scope in scopes.items() if scope is None} == {"verifier", "archive"}
    assert {permission for scope in scopes.values() if scope for permission in scope.split(" ")} == set(PERMISSIONS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity_provider_id": "idp_2"}, "Compare OpenAIIdentityProviderId"),
        ({"service_account_id": "svc_2"}, "Compare OpenAIIdentityProviderId and OpenAIServiceAccountId"),
        ({"subjects": ["arn:aws:iam::999999999999:"]}, "outputs ...RoleArn"),
        ({"permissions": ["api.files.read"]}, "permissions that docs/workload-identity.md lists"),
    ],
    ids=["provider", "account", "subject", "scope"],
)
def test_a_refusal_says_what_to_do_and_the_event_waits_until_it_is_done(
    make_stack: MakeStack, openai: StandIn, changes: dict[str, Any], words: str
) -> None:
    set_up(openai, **changes)
    stack = subscribed(make_stack(fill_secrets=False, **IDENTITY), openai)

    delivery = finish(openai, new_batch(openai))

    wait_until("the log says what to do", lambda: [line for line in stack.logs("batch") if words in line])
    event = stack.event(delivery["webhook_id"])
    assert event is None or event["state"] == "in_progress"
    assert not [line for line in stack.logs("batch") if "eyJ" in line or "oat_" in line]


def test_without_the_permission_sts_gives_no_token(make_stack: MakeStack, openai: StandIn) -> None:
    set_up(openai)
    template = deploy.template()
    take_away(template, "BatchRole", "sts:GetWebIdentityToken")
    stack = subscribed(make_stack(fill_secrets=False, template=template, **IDENTITY), openai)
    watch = Watch(stack)

    finish(openai, new_batch(openai))

    def refused() -> list[str]:
        return [line for line in stack.logs("batch") if "needs sts:GetWebIdentityToken" in line]

    wait_until("the log says so", refused)
    assert exchanges(openai) == 0
    assert watch.outcomes() == []


def test_doctor_explains_each_refusal_of_reconcile_and_of_the_others(
    keyless: Stack, openai: StandIn, tmp_path: Path
) -> None:
    cli = Cli(keyless, home=tmp_path)

    def identities() -> dict[str, dict[str, Any]]:
        found = cli.run("doctor", "--json").json()["findings"]
        return {it["check"]: it for it in found if it["check"].startswith("identity")}

    assert {name: it["level"] for name, it in identities().items()} == {"identity": "ok"}
    for changes, words, fix in (
        ({"identity_provider_id": "idp_2"}, "invalid_client", "OpenAIIdentityProviderId is idp_1"),
        ({"service_account_id": "svc_2"}, "invalid_target", "OpenAIServiceAccountId is svc_1"),
        ({"subjects": ["arn:aws:iam::999999999999:"]}, "invalid_grant", keyless.outputs["ReconcileRoleArn"]),
        ({"permissions": ["api.files.read"]}, "invalid_scope", "lists for reconcile"),
    ):
        set_up(openai, **changes)
        found = identities()
        assert list(found) == ["identity of reconcile"], words
        assert words in found["identity of reconcile"]["detail"]
        assert fix in found["identity of reconcile"]["fix"]
        assert found["identity of reconcile"]["level"] == "error"
    finish(openai, new_batch(openai))
    wait_until("the log says so", lambda: [line for line in keyless.logs("batch") if "invalid_scope" in line])
    set_up(openai)
    found = identities()
    assert list(found) == ["identity", "identity of batch"]
    assert "lists for batch" in found["identity of batch"]["fix"]

    with without(keyless, "ReconcileRole", "GetIdentityToken", "sts:GetWebIdentityToken"):
        refused = identities()["identity of reconcile"]
    assert "AccessDenied" in refused["detail"]
    assert keyless.outputs["ReconcileRoleArn"] in refused["fix"]
