"""What a company's account asks of a stack: boundaries, paths, a key of its own, and names without wildcards."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.deploy import DeployError, functions, template
from infra.local.emulator import Emulator
from infra.local.stack import CATEGORIES, Stack, logical, unhandled
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import finish, handled, new_batch
from tests.conftest import MakeStack

ACCOUNT = "000000000000"
REGION = "us-east-1"
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture
def key(emulator: Emulator) -> str:
    """ARN of a key that whoever's own permissions say so may use."""
    return emulator.client("kms").create_key()["KeyMetadata"]["Arn"]


def roles(stack: Stack) -> dict[str, dict[str, Any]]:
    """Roles of the stack, by their logical ids."""
    pages = stack.emulator.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    found = [resource for page in pages for resource in page["StackResourceSummaries"]]
    iam = stack.emulator.client("iam")
    return {
        resource["LogicalResourceId"]: iam.get_role(RoleName=resource["PhysicalResourceId"])["Role"]
        for resource in found
        if resource["ResourceType"] == "AWS::IAM::Role"
    }


def test_every_role_has_the_boundary_and_the_path(emulator: Emulator) -> None:
    resources = template()["Resources"]
    of_iam = {name: it for name, it in resources.items() if it["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")}
    assert all(it["Properties"]["Path"] == {"Ref": "RolePath"} for it in of_iam.values())
    chosen = {"Fn::If": ["UseBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    named = [it for it in of_iam.values() if it["Type"] == "AWS::IAM::Role"]
    assert all(it["Properties"]["PermissionsBoundary"] == chosen for it in named)


def test_a_stack_under_a_boundary_a_path_and_a_key_handles_events(
    emulator: Emulator, make_stack: MakeStack, openai: StandIn, key: str
) -> None:
    policy = emulator.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(ALLOW_ALL))
    stack = make_stack(PermissionsBoundaryArn=policy["Policy"]["Arn"], RolePath="/hooks/", KmsKeyArn=key)
    watch = Watch(stack)
    batch_id = new_batch(openai)

    event = handled(stack, finish(openai, batch_id))

    assert event["outcome"]["status"] == "completed"
    assert [outcome.detail["object_id"] for outcome in watch.outcomes()] == [batch_id]
    assert {role["Path"] for role in roles(stack).values()} == {"/hooks/"}


def test_a_key_encrypts_everything_that_holds_an_event(make_stack: MakeStack, key: str) -> None:
    stack = make_stack(fill_secrets=False, KmsKeyArn=key)
    client = stack.emulator.client

    # The emulator keeps nothing of the table's, the bucket's and the topic's.
    chosen = template()["Resources"]["Ledger"]["Properties"]["SSESpecification"]["Fn::If"]
    assert chosen == [
        "UseKey",
        {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "KmsKeyArn"}},
        {"Ref": "AWS::NoValue"},
    ]
    bucket = template()["Resources"]["Artifacts"]["Properties"]["BucketEncryption"]
    (rule,) = bucket["ServerSideEncryptionConfiguration"]
    assert rule["Fn::If"][1]["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == {"Ref": "KmsKeyArn"}
    for category in CATEGORIES:
        for url in (stack.queue_url(category), stack.dead_letter_queue_url(category)):
            attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            assert attributes["KmsMasterKeyId"] == key
    assert template()["Resources"]["Alerts"]["Properties"]["KmsMasterKeyId"]["Fn::If"][1] == {"Ref": "KmsKeyArn"}
    for secret in ("project", "organization", "api-key"):
        assert client("secretsmanager").describe_secret(SecretId=stack.secret_id(secret))["KmsKeyId"] == key
    groups = client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.name}-")["logGroups"]
    groups += client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/vendedlogs/{stack.name}/")["logGroups"]
    assert {group.get("kmsKeyId") for group in groups} == {key}


def test_nothing_but_the_keys_that_aws_owns_is_used_unless_one_is_given(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)

    for role in roles(stack).values():
        attached = stack.emulator.client("iam").list_attached_role_policies(RoleName=role["RoleName"])
        assert not [it for it in attached["AttachedPolicies"] if "KeyPolicy" in it["PolicyName"]]


def test_every_output_of_a_role_is_a_role_of_a_function(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)

    arns = {name.removesuffix("RoleArn"): arn for name, arn in stack.outputs.items() if name.endswith("RoleArn")}
    assert arns.keys() == {name.removesuffix("FunctionName") for name in stack.outputs if name.endswith("FunctionName")}
    functions = stack.emulator.client("lambda")
    for name, arn in arns.items():
        function = stack.outputs[f"{name}FunctionName"]
        assert functions.get_function_configuration(FunctionName=function)["Role"] == arn


@pytest.mark.stack(**unhandled(), VerifierReservedConcurrency="5", LedgerDeletionProtection="true")
def test_the_verifier_has_its_own_concurrency_and_the_ledger_cannot_be_deleted(stack: Stack) -> None:
    # The emulator takes the concurrency from a template and forgets it.
    chosen = template()["Resources"]["VerifierFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert chosen == {"Fn::If": ["ReserveVerifier", {"Ref": "VerifierReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}
    dynamodb, table = stack.emulator.client("dynamodb"), stack.outputs["TableName"]
    with pytest.raises(ClientError, match="protection"):
        dynamodb.delete_table(TableName=table)
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)


def test_what_is_overwritten_in_the_bucket_can_be_had_back_for_a_week(stack: Stack) -> None:
    s3, bucket = stack.emulator.client("s3"), stack.outputs["BucketName"]

    for body in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="batch/b/summary.json", Body=body)

    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [version["IsLatest"] for version in versions] == [True, False]
    # The emulator keeps nothing of the lifecycle.
    rules = template()["Resources"]["Artifacts"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert {
        "Id": "drop-old-versions",
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
    } in rules
    assert {"Id": "drop-marks-of-deletion", "Status": "Enabled", "ExpiredObjectDeleteMarker": True} in rules


def test_queues_and_topic_refuse_what_does_not_come_over_tls(stack: Stack) -> None:
    sqs, sns = stack.emulator.client("sqs"), stack.emulator.client("sns")
    urls = [
        url for category in CATEGORIES for url in (stack.queue_url(category), stack.dead_letter_queue_url(category))
    ]
    policies = [
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"] for url in urls
    ]
    topic = sns.get_topic_attributes(TopicArn=stack.outputs["AlertsTopicArn"])["Attributes"]["Policy"]
    for policy in [*policies, topic]:
        (deny,) = [it for it in json.loads(policy)["Statement"] if it["Effect"] == "Deny"]
        assert deny["Principal"] == "*"
        assert str(deny["Condition"]["Bool"]["aws:SecureTransport"]).lower() == "false"
    named = template()["Resources"]["QueuesPolicy"]["Properties"]["Queues"]
    queues = {name for name, it in template()["Resources"].items() if it["Type"] == "AWS::SQS::Queue"}
    assert {queue["Ref"] for queue in named} == queues


def test_a_consumer_writes_no_job_of_another_category() -> None:
    resources = template()["Resources"]
    for category in CATEGORIES:
        document = resources[f"{logical(category)}Role"]["Properties"]["Policies"][0]["PolicyDocument"]
        (write,) = [it for it in document["Statement"] if it.get("Sid") == "WriteLedger"]
        keys = write["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        assert [key for key in keys if key.startswith(("job#", "alerts#"))] == [
            f"job#{category}#*",
            f"alerts#{category}#*",
        ]
        assert not set(keys) & {"*", "idempotency#*"}
    assert len(CATEGORIES) == len({name for name in functions() if name in CATEGORIES})


SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:name-AbCdEf"


@pytest.mark.parametrize(
    "parameters",
    [
        {"OpenAIApiKeySecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:*"},
        {"ProjectSigningSecretArn": f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:name-AbCdEf"},
        {"OrganizationSigningSecretArn": f"arn:*:secretsmanager:{REGION}:{ACCOUNT}:secret:name-AbCdEf"},
        {"AdditionalEndpoints": '{"a": "b"}', "AdditionalSecretArns": f"{SECRET},arn:aws:secretsmanager:*:*:secret:*"},
        {"AdditionalEndpoints": '{"a": "b"}', "AdditionalSecretArns": f"{SECRET},*"},
        {"CallPolicyS3Uri": "s3://bucket/*"},
        {"CallPolicyS3Uri": "s3://bucket/policy?.json"},
        {"KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*"},
        {"KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/mine"},
        {"PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/*"},
        {"CallToolFunctionArns": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:*"},
        {"CallLookUpTableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/*"},
        {"RolePath": "hooks"},
        {"RolePath": "/*/"},
        {"OpenAIBaseUrl": "http://api.openai.com/v1"},
        {"OpenAIBaseUrl": "http://127.0.0.1.example.com/v1"},
        {"OpenAIBaseUrl": "https://api.openai.com/v1/"},
        {"DisableExecuteApiEndpoint": "true"},
        {"OpenAIIdentityProviderId": "idp_1"},
        {"OpenAIServiceAccountId": "svc_1"},
        {"OpenAIIdentityProviderId": "idp/*", "OpenAIServiceAccountId": "svc_1"},
        {"SilentHours": "169"},
        {"AdditionalSecretArns": SECRET},
        {"VerifierReservedConcurrency": "-1"},
    ],
    ids=lambda parameters: "-".join(f"{name}={value}"[:60] for name, value in parameters.items()),
)
def test_what_would_grant_too_much_or_cannot_work_is_refused_before_anything_is_created(
    emulator: Emulator, make_stack: MakeStack, parameters: dict[str, str]
) -> None:
    with pytest.raises((ClientError, DeployError)):
        make_stack(fill_secrets=False, **parameters)

    resources = emulator.client("iam").list_roles()["Roles"]
    assert not [role for role in resources if "what-would-grant-too-" in role["RoleName"]]
