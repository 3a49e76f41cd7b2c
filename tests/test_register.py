"""A stack that registers its endpoint at OpenAI: what becomes of it from the first deployment to the last."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai as sdk
import pytest

from infra.local.deploy import DeployError
from infra.local.stack import Stack
from infra.local.stand_in import API_KEY, Json, StandIn
from tests.batches import finish, handled, new_batch
from tests.permissions import take_away
from tests.registering import CloudFormation, Registering, properties
from tests.rotations import rotated
from tests.waiting import wait_until

CREATE = "POST /v1/webhook_endpoints"


def stored(stack: Stack) -> str:
    return stack.emulator.client("secretsmanager").get_secret_value(SecretId=stack.secret_id("project"))["SecretString"]


def answers_a_test(openai: StandIn, endpoint: Json) -> bool:
    """Whether a test delivery is verified."""
    return openai.sdk().webhooks.test(endpoint["id"], event_type="batch.completed").status_code == 200


# Deployed ------------------------------------------------------------------------------------------------------------


def test_a_stack_registers_its_endpoint_which_delivers_what_is_handled(
    registering: Registering, openai: StandIn
) -> None:
    stack = registering.deploy()

    endpoint = registering.endpoint()
    assert (endpoint["name"], endpoint["url"]) == (stack.name, stack.url())
    offered = openai.sdk().webhooks.event_types.list().data
    assert endpoint["event_types"] == [name for name in offered if not name.startswith(("eval.", "video."))]
    assert len(endpoint["event_types"]) < len(offered)
    assert (stack.outputs["EndpointId"], stack.outputs["ProjectWebhookUrl"]) == (endpoint["id"], stack.url())
    assert stack.outputs["OrganizationWebhookUrl"] == stack.url("organization")
    assert [stored(stack)] == endpoint["signing_secrets"]
    assert answers_a_test(openai, endpoint)
    handled(stack, finish(openai, new_batch(openai)))


def test_the_signing_secret_is_shown_nowhere(registering: Registering, openai: StandIn) -> None:
    stack = registering.deploy()
    registering.deploy(ProjectSigningSecretArn=registering.new_secret("unset"))
    secrets = [secret.removeprefix("whsec_") for secret in registering.endpoint()["signing_secrets"]]
    assert len(secrets) == 2

    cloudformation = stack.emulator.client("cloudformation")
    said = [
        *stack.logs("register"),
        *stack.logs("verifier"),
        json.dumps(cloudformation.describe_stack_events(StackName=stack.name), default=str),
        json.dumps(cloudformation.describe_stacks(StackName=stack.name), default=str),
        json.dumps(cloudformation.describe_stack_resources(StackName=stack.name), default=str),
        cloudformation.get_template(StackName=stack.name)["TemplateBody"],
    ]
    assert len([line for line in stack.logs("register") if "webhook endpoint managed" in line]) == 2
    assert not [text for text in map(str, said) for secret in (*secrets, API_KEY) if secret in text]


def test_a_stack_registers_nothing_unless_it_is_told_to(stack: Stack, openai: StandIn) -> None:
    assert openai.endpoints() == []
    assert not {"EndpointId", "RegisterFunctionName"} & stack.outputs.keys()


# Changed -------------------------------------------------------------------------------------------------------------


def test_what_changes_is_changed_in_place_and_the_rest_stays_as_the_dashboard_has_it(
    registering: Registering, openai: StandIn
) -> None:
    stack = registering.deploy(EndpointEventTypes="batch.completed,batch.failed")
    first = registering.endpoint()
    assert first["event_types"] == ["batch.completed", "batch.failed"]
    openai.sdk().webhooks.update(first["id"], event_types=["batch.completed", "eval.run.failed"])

    registering.deploy(EndpointName="Orders")
    named = registering.endpoint()
    assert (named["id"], named["name"]) == (first["id"], "Orders")
    assert named["event_types"] == ["batch.completed", "eval.run.failed"]

    stack = registering.deploy(EndpointEventTypes="batch.expired, batch.completed")
    narrowed = registering.endpoint()
    assert (narrowed["id"], stack.outputs["EndpointId"]) == (first["id"], first["id"])
    assert narrowed["event_types"] == ["batch.expired", "batch.completed"]
    assert narrowed["signing_secrets"] == first["signing_secrets"]


def test_another_secret_gets_a_signing_secret_of_its_own(registering: Registering, openai: StandIn) -> None:
    first = registering.deploy()
    old = stored(first)

    second = registering.deploy(ProjectSigningSecretArn=registering.new_secret("unset"))

    assert second.secret_id("project") != first.secret_id("project")
    assert registering.endpoint()["signing_secrets"] == [stored(second), old]
    wait_until("the verifier has the new secret", lambda: answers_a_test(openai, registering.endpoint()))


def test_an_endpoint_that_was_deleted_by_hand_comes_back_with_the_next_change(
    registering: Registering, openai: StandIn
) -> None:
    registering.deploy()
    gone = registering.endpoint()["id"]
    openai.sdk().webhooks.delete(gone)

    stack = registering.deploy(EndpointName="Orders")

    endpoint = registering.endpoint()
    assert endpoint["id"] == stack.outputs["EndpointId"] != gone
    assert endpoint["signing_secrets"] == [stored(stack)]


def test_a_key_of_another_project_registers_an_endpoint_there(registering: Registering, openai: StandIn) -> None:
    registering.deploy()
    openai.sdk().webhooks.delete(registering.endpoint()["id"])

    stack = registering.deploy(OpenAIApiKeySecretArn=registering.new_secret(API_KEY))

    assert registering.endpoint()["id"] == stack.outputs["EndpointId"]


# Failed --------------------------------------------------------------------------------------------------------------


def test_an_answer_of_openai_that_gets_lost_makes_no_second_endpoint(registering: Registering, openai: StandIn) -> None:
    openai.fault(CREATE, "cut", times=1, after_bytes=10)

    stack = registering.deploy()

    endpoint = registering.endpoint()
    assert (openai.calls("POST", "/v1/webhook_endpoints"), stack.outputs["EndpointId"]) == (1, endpoint["id"])
    assert endpoint["signing_secrets"][0] == stored(stack)
    assert answers_a_test(openai, endpoint)


def test_a_repeated_request_makes_no_second_endpoint_and_both_are_answered(
    registering: Registering, openai: StandIn, cloudformation: CloudFormation
) -> None:
    stack = registering.deploy()
    endpoint = registering.endpoint()
    asked_for = properties(stack)

    answers = [cloudformation.ask(stack, "Create", asked_for) for _ in range(2)]

    assert [answer["Status"] for answer in answers] == ["SUCCESS", "SUCCESS"]
    assert {answer["PhysicalResourceId"] for answer in answers} == {endpoint["id"]}
    assert registering.endpoint()["signing_secrets"][0] == stored(stack)
    assert answers_a_test(openai, endpoint)
    # What CloudFormation sends when no answer to its first request has reached it.
    deleted = cloudformation.ask(stack, "Delete", asked_for, "made-up-by-cloudformation")
    assert (deleted["Status"], openai.endpoints()) == ("SUCCESS", [])


def test_two_requests_and_a_rotation_at_once_leave_one_endpoint_whose_newest_secret_is_stored(
    registering: Registering, openai: StandIn, cloudformation: CloudFormation
) -> None:
    rotation = rotated(registering)
    stack = rotation.stack
    openai.sdk().webhooks.delete(rotation.endpoint_id)
    asked_for = properties(stack)

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(cloudformation.ask, stack, "Create", asked_for) for _ in range(2)]
        answers = [one.result() for one in asked]
    assert {answer["PhysicalResourceId"] for answer in answers} == {registering.endpoint()["id"]}
    assert registering.endpoint()["signing_secrets"][0] == stored(stack)

    stack.set_environment("rotate", ENDPOINT_ID=registering.endpoint()["id"])
    version = rotation.begin()
    with ThreadPoolExecutor(2) as pool:
        create = pool.submit(cloudformation.ask, stack, "Create", asked_for)
        rotate = pool.submit(rotation.step, "createSecret", version)
        assert create.result()["Status"] == "SUCCESS"
        refused = rotate.exception()
    assert refused is None or "in progress" in str(refused)
    pending = stack.emulator.client("secretsmanager").get_secret_value(
        SecretId=stack.secret_id("project"), VersionStage="AWSPENDING"
    )
    assert registering.endpoint()["signing_secrets"][0] in (stored(stack), pending.get("SecretString"))
    wait_until("the verifier has it", lambda: answers_a_test(openai, registering.endpoint()))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("sk-reader", "the API key may not manage webhook endpoints: it needs the permission api.webhooks.write"),
        ("sk-nobody", "OpenAI does not accept the API key: store a valid one, then deploy again"),
        ("unset", "is not set. On a new stack give an existing secret (OpenAIApiKeySecretArn)"),
    ],
)
def test_a_key_that_may_not_fails_the_stack_with_a_reason(
    registering: Registering, openai: StandIn, key: str, reason: str
) -> None:
    openai.restrict("sk-reader", "api.webhooks.read")

    with pytest.raises(DeployError) as failure:
        registering.deploy(OpenAIApiKeySecretArn=registering.new_secret(key))

    said = str(failure.value)
    assert "ProjectEndpoint: Registering the webhook endpoint at OpenAI failed: " in said
    assert reason in said
    assert key == "unset" or key not in said
    assert openai.endpoints() == []


def test_a_new_stack_s_own_key_is_not_set_yet(registering: Registering) -> None:
    with pytest.raises(DeployError, match="or deploy with RegisterEndpoint=false first, store the key"):
        registering.deploy(OpenAIApiKeySecretArn="")


def test_an_event_type_that_openai_does_not_have_fails_the_stack(registering: Registering) -> None:
    with pytest.raises(DeployError, match="Supported values are"):
        registering.deploy(EndpointEventTypes="batch.succeeded")


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("secretsmanager:GetSecretValue", r"with the OpenAI API key could not be read: .*\(AccessDenied"),
        ("secretsmanager:PutSecretValue", r"its signing secret could not be stored in arn:.*\(AccessDenied"),
        ("dynamodb:UpdateItem", r"could not take the lease.*needs dynamodb:UpdateItem on the ledger's table"),
    ],
)
def test_without_a_permission_the_stack_fails_and_still_shows_no_secret(
    registering: Registering, openai: StandIn, action: str, reason: str
) -> None:
    take_away(registering.template, "RegisterRole", action)

    with pytest.raises(DeployError, match=reason) as failure:
        registering.deploy()

    for endpoint in openai.endpoints():
        assert endpoint["signing_secrets"][0].removeprefix("whsec_") not in str(failure.value)


# Deleted -------------------------------------------------------------------------------------------------------------


def test_the_endpoint_is_deleted_with_the_stack(registering: Registering, openai: StandIn) -> None:
    registering.deploy()

    registering.delete()

    assert openai.endpoints() == []


def test_the_endpoint_is_deleted_when_the_stack_is_told_not_to_register_it(
    registering: Registering, openai: StandIn
) -> None:
    registering.deploy()

    # ministack takes an update for none when conditions alone change.
    stack = registering.deploy(RegisterEndpoint="false", AlertFailedShare="1")

    wait_until("the endpoint is deleted", lambda: openai.endpoints() == [])
    assert "EndpointId" not in stack.outputs


def test_a_stack_whose_endpoint_is_gone_can_be_deleted(registering: Registering, openai: StandIn) -> None:
    registering.deploy()
    openai.sdk().webhooks.delete(registering.endpoint()["id"])

    registering.delete()


def test_a_stack_whose_key_is_not_good_any_more_can_be_deleted_and_leaves_its_endpoint(
    registering: Registering, openai: StandIn
) -> None:
    stack = registering.deploy()
    stack.set_secret("api-key", "sk-revoked")

    registering.delete()

    assert registering.endpoint()["id"] == stack.outputs["EndpointId"]
    with pytest.raises(sdk.AuthenticationError):
        openai.sdk("sk-revoked").webhooks.list()


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    """A CloudFormation that the test plays."""
    with CloudFormation() as played:
        yield played
