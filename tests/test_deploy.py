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
from tests.permissions import actions, statements, take_away

MANAGERS = {"register", "rotate", "reconcile", "supervisor"}
"""The functions that handle no category: they look after the endpoint, after what it has not delivered, and after calls."""


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
        for statement in statements(whole, role):
            for either in statement["Fn::If"][1:] if "Fn::If" in statement else [statement]:
                if either == {"Ref": "AWS::NoValue"}:
                    continue
                assert either.keys() == {"Sid", "Effect", "Action", "Resource"}
                assert len({action.partition(":")[0] for action in actions(either)}) == 1
                assert not any("*" in action for action in actions(either))
                assert either["Resource"] != "*"


def test_only_the_template_decides_who_shares_a_policy() -> None:
    resources = template()["Resources"]
    policies = {name: it["Properties"] for name, it in resources.items() if it["Type"] == "AWS::IAM::ManagedPolicy"}

    # What every role that has it needs: consumers all of the one, callers of OpenAI all of the other.
    shared_by = {name: set() for name in policies}
    for role in [function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions().values()]:
        for arn in resources[role]["Properties"].get("ManagedPolicyArns", []):
            shared_by[arn["Ref"]].add(role)
    consumers = {f"{logical(category)}Role" for category in CATEGORIES}
    assert shared_by == {
        "ConsumerPolicy": consumers,
        "OpenAIPolicy": consumers - {"ArchiveRole"} | {f"{name.capitalize()}Role" for name in MANAGERS},
    }
    assert all(policy.keys() == {"Description", "PolicyDocument"} for policy in policies.values())


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
    assert resources["CatchAllRoute"]["DependsOn"] == "WebhookRoute"
    assert resources["ApiStage"]["DependsOn"] == "CatchAllRoute"
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
            (name, {"Description": {"Fn::Sub": f"{what} the stack ${{AWS::StackName}}{use}"}, "SecretString": "unset"})
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


def test_every_dead_letter_queue_has_an_alarm_that_alerts(stack: Stack) -> None:
    found = stack.emulator.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack.name}-")["MetricAlarms"]

    dead_letters = [alarm for alarm in found if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"]
    watched = {alarm["Dimensions"][0]["Value"] for alarm in dead_letters}
    assert watched == {url.rsplit("/", 1)[-1] for url in map(stack.dead_letter_queue_url, CATEGORIES)}
    assert all(alarm["AlarmActions"] == [stack.outputs["AlertsTopicArn"]] for alarm in found)


def test_an_event_of_a_type_that_no_consumer_knows_alerts(stack: Stack) -> None:
    name = f"{stack.name}-archive-events"

    (alarm,) = stack.emulator.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]

    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/SQS", "NumberOfMessagesSent", "Sum")
    (dimension,) = alarm["Dimensions"]
    assert dimension == {"Name": "QueueName", "Value": stack.queue_url("archive").rsplit("/", 1)[-1]}
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert alarm["AlarmActions"] == [stack.outputs["AlertsTopicArn"]]


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


def test_reconciliation_that_keeps_failing_alerts(stack: Stack) -> None:
    name = f"{stack.name}-reconcile-errors"

    (alarm,) = stack.emulator.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]

    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/Lambda", "Errors", "Sum")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": stack.outputs["ReconcileFunctionName"]}]
    assert alarm["AlarmActions"] == [stack.outputs["AlertsTopicArn"]]


def test_what_is_not_a_webhook_is_answered_by_the_function(stack: Stack) -> None:
    def answer(method: str, path: str) -> tuple[int, str]:
        request = urllib.request.Request(stack.base_url() + path, method=method, data=b"" if method == "POST" else None)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, ""
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["reason"]

    assert answer("POST", "/webhooks/nobody") == (404, "unknown_endpoint")
    assert answer("GET", "/webhooks/project") == (405, "method_not_allowed")
