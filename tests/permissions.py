"""Permissions of the template's roles."""

from typing import Any

Statements = list[dict[str, Any]]


def statements(template: dict[str, Any], role: str) -> list[Statements]:
    """Statements of a role: of its own policies, and of the template's policies that it shares."""
    resources = template["Resources"]
    properties = resources[role]["Properties"]
    shared = [resources[arn["Ref"]]["Properties"] for arn in properties.get("ManagedPolicyArns", [])]
    return [policy["PolicyDocument"]["Statement"] for policy in [*properties["Policies"], *shared]]


def actions(statement: dict[str, Any]) -> list[str]:
    """Actions that a statement allows; none of a conditional one."""
    found = statement.get("Action", [])
    return [found] if isinstance(found, str) else found


def take_away(template: dict[str, Any], role: str, action: str, sid: str | None = None) -> None:
    """Take an action from a role, and from whatever shares its policies. With `sid`, only in that statement."""
    taken = 0
    for policy in statements(template, role):
        for statement in [each for each in policy if sid in (None, each.get("Sid")) and action in actions(each)]:
            taken += 1
            statement["Action"] = [other for other in actions(statement) if other != action]
            if not statement["Action"]:
                policy.remove(statement)
    assert taken == 1, f"{role} has {action} in {taken} statements"
