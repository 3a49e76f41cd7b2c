"""Forty things that no function may do, each as the request that would do it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.local.stack import Stack

Act = Callable[[Callable[[str], Any], Stack], Any]
"""Makes a request. Gets clients with a role's credentials, and the stack."""


@dataclass(frozen=True)
class Forbidden:
    """Something that no function may do."""

    what: str
    act: Act
    except_for: tuple[str, ...] = ()
    """Functions whose work it is."""


def _table(stack: Stack) -> str:
    return stack.outputs["TableName"]


def _key(pk: str, sk: str = "job") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _write(pk: str, sk: str = "job") -> Act:
    return lambda client, stack: client("dynamodb").update_item(
        TableName=_table(stack), Key=_key(pk, sk), UpdateExpression="SET forged = :yes",
        ExpressionAttributeValues={":yes": {"S": "yes"}},
    )  # fmt: skip


def _role_arn(stack: Stack) -> str:
    return stack.outputs["BatchRoleArn"]


def _policy(stack: Stack) -> dict[str, str]:
    return {"RoleName": _role_arn(stack).rsplit("/", 1)[-1], "PolicyName": "more", "PolicyDocument": "{}"}


FORBIDDEN = [
    Forbidden("delete the ledger", lambda c, s: c("dynamodb").delete_table(TableName=_table(s))),
    Forbidden("read the whole ledger", lambda c, s: c("dynamodb").scan(TableName=_table(s))),
    Forbidden("delete an event's item", lambda c, s: c("dynamodb").delete_item(
        TableName=_table(s), Key=_key("event#project#wh_1", "event"))),
    Forbidden("put an item whole", lambda c, s: c("dynamodb").put_item(TableName=_table(s), Item=_key("job#batch#b"))),
    Forbidden("read an event's body", lambda c, s: c("dynamodb").get_item(
        TableName=_table(s), Key=_key("event#project#wh_1", "event")), ("console",)),
    Forbidden("restore the ledger", lambda c, s: c("dynamodb").restore_table_to_point_in_time(
        SourceTableName=_table(s), TargetTableName="copy", UseLatestRestorableTime=True)),
    Forbidden("write an item of no kind", _write("anything")),
    Forbidden("forge a job of the safety category", _write("job#safety#forged"), ("safety",)),
    Forbidden("forge a job of the batch category", _write("job#batch#forged"), ("batch", "reconcile", "console")),
    Forbidden("forge the record of a batch's end", _write("idempotency#batch.completed/b", "record"), ("batch",)),
    Forbidden("forge the record of a call", _write("idempotency#call/realtime/c", "record"), ("realtime",)),
    Forbidden("take the lease of a rotation", _write("lease#rotate/arn", "lease"), ("register", "rotate", "console")),
    Forbidden("move reconciliation's bookmark", _write("reconcile#batches", "bookmark"), ("reconcile",)),
    Forbidden("delete the bucket", lambda c, s: c("s3").delete_bucket(Bucket=s.outputs["BucketName"])),
    Forbidden("list the bucket", lambda c, s: c("s3").list_objects_v2(Bucket=s.outputs["BucketName"])),
    Forbidden("read a result", lambda c, s: c("s3").get_object(
        Bucket=s.outputs["BucketName"], Key="batch/b/x"), ("console",)),
    Forbidden("delete a result", lambda c, s: c("s3").delete_object(Bucket=s.outputs["BucketName"], Key="batch/b/x")),
    Forbidden("store outside every folder", lambda c, s: c("s3").put_object(Bucket=s.outputs["BucketName"], Key="x")),
    Forbidden("store a safety notice", lambda c, s: c("s3").put_object(
        Bucket=s.outputs["BucketName"], Key="safety/x.json"), ("safety",)),
    Forbidden("open the bucket to all", lambda c, s: c("s3").put_bucket_policy(
        Bucket=s.outputs["BucketName"], Policy="{}")),
    Forbidden("switch versions off", lambda c, s: c("s3").put_bucket_versioning(
        Bucket=s.outputs["BucketName"], VersioningConfiguration={"Status": "Suspended"})),
    Forbidden("read the project's signing secret", lambda c, s: c("secretsmanager").get_secret_value(
        SecretId=s.secret_id("project")), ("verifier", "rotate", "console")),
    Forbidden("read the organization's signing secret", lambda c, s: c("secretsmanager").get_secret_value(
        SecretId=s.secret_id("organization")), ("verifier", "console")),
    Forbidden("replace the API key", lambda c, s: c("secretsmanager").put_secret_value(
        SecretId=s.secret_id("api-key"), SecretString="sk-mine")),
    Forbidden("replace the organization's signing secret", lambda c, s: c("secretsmanager").put_secret_value(
        SecretId=s.secret_id("organization"), SecretString="whsec_mine"), ("console",)),
    Forbidden("delete a secret", lambda c, s: c("secretsmanager").delete_secret(SecretId=s.secret_id("api-key"))),
    Forbidden("list the account's secrets", lambda c, _: c("secretsmanager").list_secrets()),
    Forbidden("queue a safety notice", lambda c, s: c("sqs").send_message(
        QueueUrl=s.queue_url("safety"), MessageBody="{}"), ("verifier", "console")),
    Forbidden("queue a call", lambda c, s: c("sqs").send_message(
        QueueUrl=s.queue_url("realtime"), MessageBody="{}"), ("verifier", "console")),
    Forbidden("empty a queue", lambda c, s: c("sqs").purge_queue(QueueUrl=s.queue_url("batch"))),
    Forbidden("take dead letters away", lambda c, s: c("sqs").receive_message(
        QueueUrl=s.dead_letter_queue_url("batch")), ("console",)),
    Forbidden("delete a queue", lambda c, s: c("sqs").delete_queue(QueueUrl=s.queue_url("batch"))),
    Forbidden("subscribe to the alerts", lambda c, s: c("sns").subscribe(
        TopicArn=s.outputs["AlertsTopicArn"], Protocol="email", Endpoint="me@example.com"), ("console",)),
    Forbidden("delete the topic", lambda c, s: c("sns").delete_topic(TopicArn=s.outputs["AlertsTopicArn"])),
    Forbidden("change a rule of the bus", lambda c, s: c("events").put_rule(
        Name="mine", EventBusName=s.outputs["BusName"], EventPattern='{"source": ["x"]}')),
    Forbidden("replace the call policy", lambda c, s: c("ssm").put_parameter(
        Name=f"/{s.name}/call-policy", Value="{}", Type="String", Overwrite=True)),
    Forbidden("invoke the verifier", lambda c, s: c("lambda").invoke(FunctionName=f"{s.name}-verifier")),
    Forbidden("replace a function's code", lambda c, s: c("lambda").update_function_code(
        FunctionName=f"{s.name}-verifier", ZipFile=b"x")),
    Forbidden("give a role more", lambda c, s: c("iam").put_role_policy(**_policy(s))),
    Forbidden("act as another role", lambda c, s: c("sts").assume_role(RoleArn=_role_arn(s), RoleSessionName="mine")),
]  # fmt: skip
