"""Permissions of the template's roles."""

from copy import deepcopy
from typing import Any


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


def _either(listed: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands in a list, or both of what a condition chooses from."""
    sides = listed["Fn::If"][1:] if "Fn::If" in listed else [listed]
    return [side for side in sides if side != {"Ref": "AWS::NoValue"}]
