"""Permissions of the template's roles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from infra.local.stack import Stack


def shared_policies(template: dict[str, Any], role: str) -> list[str]:
    """Policies of the template that a role shares with others, those with a condition too."""
    arns = template["Resources"][role]["Properties"].get("ManagedPolicyArns", [])
    return [arn["Ref"] for listed in arns for arn in _either(listed)]


def statements(template: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """Statements of a role: of its own policies, and of those that it shares. Of a condition, both sides."""
    resources = template["Resources"]
    shared = [resources[name]["Properties"] for name in shared_policies(template, role)]
    policies = [*resources[role]["Properties"]["Policies"], *shared]
    listed = [it for policy in policies for it in policy["PolicyDocument"]["Statement"]]
    return [statement for it in listed for statement in _either(it)]


def actions(statement: dict[str, Any]) -> list[str]:
    """Actions that a statement allows."""
    found = statement["Action"]
    return [found] if isinstance(found, str) else found


def take_away(template: dict[str, Any], role: str, action: str, sid: str | None = None) -> None:
    """Take an action from one role, not from others that share its policies. With `sid`, only in that statement."""
    properties = template["Resources"][role]["Properties"]
    own = deepcopy(statements(template, role))
    taken = [it for it in own if sid in (None, it.get("Sid")) and action in actions(it)]
    assert len(taken) == 1, f"{role} has {action} in {len(taken)} statements"
    taken[0]["Action"] = [other for other in actions(taken[0]) if other != action]
    left = [it for it in own if it["Action"] != []]
    properties.pop("ManagedPolicyArns", None)
    document = {"Version": "2012-10-17", "Statement": left}
    properties["Policies"] = [{"PolicyName": role, "PolicyDocument": document}]


@contextmanager
def without(stack: Stack, role: str, sid: str, action: str) -> Iterator[None]:
    """Take an action from one statement of a deployed role, and give it back in the end."""
    iam, name = stack.emulator.client("iam"), stack.outputs[f"{role}Arn"].rsplit("/", 1)[-1]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    shared = {it["PolicyArn"]: _document(iam, it["PolicyArn"]) for it in attached}
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    own = {it: iam.get_role_policy(RoleName=name, PolicyName=it)["PolicyDocument"] for it in names}
    found = deepcopy([it for document in (*own.values(), *shared.values()) for it in document["Statement"]])
    (statement,) = [it for it in found if it["Sid"] == sid and action in actions(it)]
    statement["Action"] = [other for other in actions(statement) if other != action]
    left = {"Version": "2012-10-17", "Statement": [it for it in found if it["Action"] != []]}
    iam.put_role_policy(RoleName=name, PolicyName="without", PolicyDocument=json.dumps(left))
    for policy in own:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for arn in shared:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    try:
        yield
    finally:
        for policy, document in own.items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
        for arn in shared:
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        iam.delete_role_policy(RoleName=name, PolicyName="without")


def _document(iam: Any, arn: str) -> dict[str, Any]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _either(listed: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands in a list, or both of what a condition chooses from."""
    sides = listed["Fn::If"][1:] if "Fn::If" in listed else [listed]
    return [side for side in sides if side != {"Ref": "AWS::NoValue"}]
