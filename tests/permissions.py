"""Permissions of the template's roles."""

from copy import deepcopy
from typing import Any


def statements(template: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """Statements of a role: of its own policies, and of those of the template that it shares with others."""
    resources = template["Resources"]
    properties = resources[role]["Properties"]
    shared = [resources[arn["Ref"]]["Properties"] for arn in properties.get("ManagedPolicyArns", [])]
    return [it for policy in [*properties["Policies"], *shared] for it in policy["PolicyDocument"]["Statement"]]


def actions(statement: dict[str, Any]) -> list[str]:
    """Actions that a statement allows; none of a conditional one."""
    found = statement.get("Action", [])
    return [found] if isinstance(found, str) else found


def take_away(template: dict[str, Any], role: str, action: str, sid: str | None = None) -> None:
    """Take an action from one role, not from others that share its policies. With `sid`, only in that statement."""
    properties = template["Resources"][role]["Properties"]
    own = deepcopy(statements(template, role))
    taken = [it for it in own if sid in (None, it.get("Sid")) and action in actions(it)]
    assert len(taken) == 1, f"{role} has {action} in {len(taken)} statements"
    taken[0]["Action"] = [other for other in actions(taken[0]) if other != action]
    left = [it for it in own if it.get("Action") != []]
    properties.pop("ManagedPolicyArns", None)
    document = {"Version": "2012-10-17", "Statement": left}
    properties["Policies"] = [{"PolicyName": role, "PolicyDocument": document}]
