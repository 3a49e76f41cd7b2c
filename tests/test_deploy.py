"""The deployment itself: what the template makes, stacks side by side, and IAM policies that are enforced."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from infra.local.deploy import functions, template
from infra.local.stack import CATEGORIES, Stack, logical, unhandled
from infra.local.stand_in import StandIn
from tests.conftest import MakeStack
from tests.permissions import actions, shared_policies, statements, take_away

MANAGERS = {"register", "rotate", "reconcile", "supervisor", "console"}
"""The functions that handle no category: for the endpoint, for what it has not delivered, for calls and for people."""


ANYWHERE = {"GetIdentityToken", "ListConsumers", "ReadMetrics", "ReadSubscriptions", "SendTraces"}
"""Statements whose actions AWS allows on `*` alone."""


def test_every_category_has_a_function() -> None:
    assert set(functions()) - MANAGERS == {"verifier", *CATEGORIES}


def test_every_category_has_a_queue_whose_failures_go_to_its_dead_letter_queue(stack: Stack) -> None:
    sqs = stack.emulator.client("sqs")

    def attributes(url: str) -> dict[str, str]:
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    for category in CATEGORIES:
        queue = attributes(stack.queue_url(category))
        dead_letters = attributes(stack.dead_letter_queue_url(category))
        redrive = json.loads(queue["RedrivePolicy"])
        assert redrive["deadLetterTargetArn"] == dead_letters["QueueArn"]
        assert int(redrive["maxReceiveCount"]) == 16, (
            "higher than MAX_RECEIVES, so that nothing gets here without a reason"
        )
        assert json.loads(dead_letters["RedriveAllowPolicy"])["sourceQueueArns"] == [queue["QueueArn"]]
        for found in (queue, dead_letters):
            assert found["MessageRetentionPeriod"] == str(14 * 24 * 3600)
            assert found["MaximumMessageSize"] == str(1024 * 1024)


def test_two_stacks_share_nothing(make_stack: MakeStack) -> None:
    one, other = make_stack(), make_stack()

    assert one.outputs.keys() == other.outputs.keys()
    assert not set(one.outputs.values()) & set(other.outputs.values())


def test_a_delivery_to_one_stack_never_reaches_another(make_stack: MakeStack, openai: StandIn) -> None:
    other = make_stack(fill_secrets=False)
    stack = make_stack(**unhandled())

    delivery = openai.deliver("batch.completed", {"id": "batch_1"}, wait=True)[0]

    assert delivery["attempts"][0]["status"] == 200
    assert [message.attributes["webhook-id"] for message in stack.messages("batch")] == [delivery["webhook_id"]]
    assert other.messages("batch") == []


def test_a_function_without_the_permission_is_refused(make_stack: MakeStack, openai: StandIn) -> None:
    changed = template()
    take_away(changed, "VerifierRole", "sqs:SendMessage")
    stack = make_stack(template=changed)

    attempt = openai.deliver("batch.completed", {"id": "batch_1"}, wait=True, retry=False)[0]["attempts"][0]

    assert attempt["status"] == 503
    assert json.loads(attempt["answer"])["reason"] == "queue_unavailable"
    assert stack.messages("batch") == []


def test_every_function_has_a_role_of_its_own() -> None:
    resources = template()["Resources"]

    names = {function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions().values()}
    assert len(names) == len(functions())
    assert {resources[name]["Type"] for name in names} == {"AWS::IAM::Role"}


def test_every_statement_allows_named_actions_of_one_service_on_named_resources() -> None:
    whole = template()
    resources = whole["Resources"]
    roles = {name for name, it in resources.items() if it["Type"] == "AWS::IAM::Role"}
    used = [function["Properties"]["Role"] for function in functions().values()]
    targets = [it["Properties"]["Target"] for it in resources.values() if it["Type"] == "AWS::Scheduler::Schedule"]
    assert roles == {role["Fn::GetAtt"][0] for role in used + [target["RoleArn"] for target in targets]}

    for role in roles:
        for either in statements(whole, role):
            assert either.keys() - {"Condition"} == {"Sid", "Effect", "Action", "Resource"}
            assert either.get("Condition", {}).keys() <= {"ForAllValues:StringLike", "ForAllValues:StringEquals"}
            assert len({action.partition(":")[0] for action in actions(either)}) == 1
            assert not any("*" in action for action in actions(either))
            assert either["Resource"] != "*" or either["Sid"] in ANYWHERE


def test_only_the_template_decides_who_shares_a_policy() -> None:
    whole = template()
    resources = whole["Resources"]
    policies = {name: it["Properties"] for name, it in resources.items() if it["Type"] == "AWS::IAM::ManagedPolicy"}

    # What every role that has it needs: consumers all of the one, callers of OpenAI all of the other.
    shared_by = {name: set() for name in policies}
    for role in [function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions().values()]:
        for policy in shared_policies(whole, role):
            shared_by[policy].add(role)
    consumers = {f"{logical(category)}Role" for category in CATEGORIES}
    every = {function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions().values()}
    assert shared_by == {
        "ConsumerPolicy": consumers,
        "OpenAIPolicy": consumers - {"ArchiveRole"} | {f"{name.capitalize()}Role" for name in MANAGERS},
        "KeyPolicy": every,
        "TracePolicy": every,
    }
    assert all(policy.keys() == {"Path", "Description", "PolicyDocument"} for policy in policies.values())


def test_only_the_verifier_may_read_the_secrets_of_additional_endpoints(make_stack: MakeStack) -> None:
    resources = template()["Resources"]
    roles = {name for name, it in resources.items() if "AdditionalSecretArns" in json.dumps(it, default=str)}
    assert roles == {"VerifierRole"}

    arns = [f"arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-AbCdEf" for name in ("relay", "second")]
    endpoints = json.dumps({"relay": {"secret": arns[0], "scheme": "timestamped-hex"}, "second": arns[1]})
    stack = make_stack(fill_secrets=False, AdditionalEndpoints=endpoints, AdditionalSecretArns=",".join(arns))

    iam = stack.emulator.client("iam")
    roles = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    (verifier,) = [name for name in roles if name.startswith(f"{stack.name}-VerifierRole-")]
    document = iam.get_role_policy(RoleName=verifier, PolicyName="verifier")["PolicyDocument"]
    (statement,) = [it for it in document["Statement"] if it["Sid"] == "ReadAdditionalSecrets"]
    assert statement["Resource"] == arns
    configuration = stack.emulator.client("lambda").get_function_configuration(FunctionName=f"{stack.name}-verifier")
    assert configuration["Environment"]["Variables"]["ADDITIONAL_ENDPOINTS"] == endpoints


def test_the_api_is_created_one_part_after_the_other() -> None:
    # In parallel, API Gateway now and then refuses one of them.
    resources = template()["Resources"]
    assert resources["WebhookRoute"]["Properties"]["Target"] == {"Fn::Sub": "integrations/${VerifierIntegration}"}
    assert resources["ApiStage"]["DependsOn"] == "WebhookRoute"
    assert "ApiStage" in resources["ProjectEndpoint"]["DependsOn"]


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        (
            "CallPolicy",
            {
                "Name": {"Fn::Sub": "/${AWS::StackName}/call-policy"},
                "Description": {"Fn::Sub": "How the stack ${AWS::StackName} answers calls, in JSON"},
                "Type": "String",
                "Value": "unset",
            },
        ),
        *(
            (
                name,
                {
                    "Description": {"Fn::Sub": f"{what} the stack ${{AWS::StackName}}{use}"},
                    "SecretString": "unset",
                    "KmsKeyId": {"Fn::If": ["UseKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]},
                },
            )
            for name, what, use in (
                ("OpenAIApiKeySecret", "OpenAI API key that", " calls OpenAI with"),
                ("ProjectSigningSecret", "Signing secret (whsec_...) of the project's webhook endpoint of", ""),
                (
                    "OrganizationSigningSecret",
                    "Signing secret (whsec_...) of the organization's webhook endpoint of",
                    "",
                ),
            )
        ),
    ],
)
def test_an_upgrade_overwrites_no_value_that_somebody_has_stored(name: str, properties: dict[str, Any]) -> None:
    # With any other property changed, CloudFormation writes the template's `unset` again. Not even a description may.
    assert template()["Resources"][name]["Properties"] == properties


def test_the_bucket_refuses_what_does_not_come_over_tls(stack: Stack) -> None:
    policy = stack.emulator.client("s3").get_bucket_policy(Bucket=stack.outputs["BucketName"])["Policy"]

    (statement,) = json.loads(policy)["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert str(statement["Condition"]["Bool"]["aws:SecureTransport"]).lower() == "false"


def test_secrets_that_exist_already_are_used(make_stack: MakeStack) -> None:
    template_parameters = {
        "OpenAIApiKeySecretArn": "openai-api-key",
        "ProjectSigningSecretArn": "project",
        "OrganizationSigningSecretArn": "organization",
    }
    first = make_stack()
    given = {name: first.outputs[name] for name in template_parameters}

    second = make_stack(fill_secrets=False, **given)

    assert {name: second.outputs[name] for name in given} == given


def test_both_tasks_of_reconcile_are_scheduled(make_stack: MakeStack) -> None:
    def schedules(stack: Stack) -> dict[str, tuple[str, str]]:
        scheduler = stack.emulator.client("scheduler")
        found = scheduler.list_schedules(NamePrefix=f"{stack.name}-")["Schedules"]
        described = [scheduler.get_schedule(Name=schedule["Name"]) for schedule in found]
        assert all(it["Target"]["Arn"].endswith(f":{stack.outputs['ReconcileFunctionName']}") for it in described)
        return {
            it["Name"].removeprefix(f"{stack.name}-"): (
                it["ScheduleExpression"],
                json.loads(it["Target"]["Input"])["task"],
            )
            for it in described
        }

    usual, without = make_stack(fill_secrets=False), make_stack(fill_secrets=False, ReconcileSchedule="")

    expectations = ("rate(15 minutes)", "expectations")
    assert schedules(usual) == {"reconcile": ("rate(6 hours)", "reconcile"), "expectations": expectations}
    assert schedules(without) == {"expectations": expectations}


def test_what_is_not_a_webhook_never_reaches_the_function(stack: Stack) -> None:
    def answer(method: str, path: str) -> tuple[int, Any]:
        request = urllib.request.Request(stack.base_url() + path, method=method, data=b"" if method == "POST" else None)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        return refused.value.code, json.load(refused.value).get("reason")

    assert answer("POST", "/webhooks/nobody") == (404, "unknown_endpoint")
    lines = stack.logs("verifier")
    for method, path in (("GET", "/webhooks/project"), ("POST", "/"), ("POST", "/wp-login.php"), ("POST", "/webhooks")):
        assert answer(method, path) == (404, None)
    assert stack.logs("verifier") == lines
