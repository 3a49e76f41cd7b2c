"""`calls check-policy` and `calls set-policy`, and what `doctor` says of the stored policy."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.processes import ROOT
from infra.local.stack import Stack
from tests.cli import Cli
from tests.conftest import MakeStack

TABLE = json.loads((ROOT / "tests" / "call_policies" / "callers.json").read_text())
RECEPTIONIST = ROOT / "docs" / "call-policies" / "receptionist.json"
PLAIN = [
    caller
    for caller in TABLE["callers"]
    if all(
        len(header) == 2 and isinstance(header[1], str) and "{" not in header[1] and header[0].strip() == header[0]
        for header in caller["headers"]
    )
]
"""Crafted callers that a person can write as arguments."""


@pytest.fixture
def offline(tmp_path: Path) -> Cli:
    """The command line without access to anything."""
    return Cli(home=tmp_path)


def policy_file(tmp_path: Path, policy: Any) -> Path:
    file = tmp_path / "policy.json"
    file.write_text(policy if isinstance(policy, str) else json.dumps(policy))
    return file


@pytest.mark.parametrize("caller", PLAIN, ids=lambda caller: caller["name"])
def test_a_crafted_caller_meets_the_expected_rule(offline: Cli, tmp_path: Path, caller: dict[str, Any]) -> None:
    file = policy_file(tmp_path, TABLE["policies"][caller["policy"]])
    headers = [argument for name, value in caller["headers"] for argument in ("--header", f"{name}: {value}")]

    document = offline.run("--json", "calls", "check-policy", file, *headers).json()

    assert document["decision"]["rule"] == caller["rule"]
    decided = [f"rules[{index}]" for index, rule in enumerate(document["rules"]) if rule["decides"]]
    assert [*decided, "default"][0] == caller["rule"]


def test_the_explanation_has_every_condition_with_its_verdict(offline: Cli) -> None:
    result = offline.run("calls", "check-policy", RECEPTIONIST, "--from", "+4930123456", "--to", "+498005550100")

    assert result.code == 0, result.err
    for part in [
        'rules[0] "Caller cannot be read": reject, does not match',
        'From (user part) begins with "+49"',
        'rules[2] "Customers in Germany": accept, decides',
        "rules[2] accepts the call with gpt-realtime-2.1, because all its conditions match.",
    ]:
        assert part in result.out, result.out


def test_an_unreadable_caller_is_explained(offline: Cli) -> None:
    caller = '"Ann <sip:+4930999999@example.com>'
    result = offline.run("calls", "check-policy", RECEPTIONIST, "--from", caller, "--to", "+498005550100")

    assert "the quote of the display name is not closed" in result.out
    assert "rules[0] rejects the call with 433" in result.out


def test_what_a_caller_writes_cannot_move_the_cursor(offline: Cli) -> None:
    caller = "<sip:a\x1b[2J\u202eb\x9b@example.com>"
    for options in [["--json"], []]:
        result = offline.run(*options, "calls", "check-policy", RECEPTIONIST, "--from", caller, "--header", "X: \u2066")
        assert not {"\x1b", "\u202e", "\x9b", "\u2066"} & set(result.out + result.err)


def test_every_mistake_is_named_at_once_and_nothing_is_stored(stack: Stack, tmp_path: Path) -> None:
    cli = Cli(stack, home=tmp_path)
    file = policy_file(tmp_path, {"answer_as": "phone", "rules": [{"then": {"reject": {"status_code": 200}}}]})

    for command in ["check-policy", "set-policy"]:
        result = cli.run("--json", "calls", command, file)
        assert (result.code, result.json()["valid"]) == (1, False)
        paths = [error.partition(":")[0] for error in result.json()["errors"]]
        assert paths == ["answer_as", "rules[0].when", "rules[0].then.reject.status_code", "default"]
    stored = stack.emulator.client("ssm").get_parameter(Name=f"/{stack.name}/call-policy")
    assert stored["Parameter"]["Value"] == "unset"


def test_a_policy_is_checked_stored_and_found_again(stack: Stack, tmp_path: Path) -> None:
    cli = Cli(stack, home=tmp_path)
    assert "no policy is stored" in cli.run("calls", "check-policy").err
    assert "none is stored" in finding(cli)["detail"]

    result = cli.run("calls", "set-policy", ROOT / "docs" / "call-policies" / "after-hours.json")

    assert result.code == 0, result.err
    assert f"The policy is stored in the parameter /{stack.name}/call-policy" in result.out
    at = "2026-06-05T10:00:00Z"
    document = cli.run("--json", "calls", "check-policy", "--from", "+1", "--to", "+498005550100", "--at", at).json()
    assert document["decision"] | {"name": "", "detail": ""} == {
        "rule": "rules[1]",
        "name": "",
        "action": "refer",
        "detail": "",
        "unreadable": False,
    }
    assert finding(cli)["level"] == "ok"


def test_doctor_finds_the_mistakes_of_the_stored_policy(stack: Stack, tmp_path: Path) -> None:
    cli = Cli(stack, home=tmp_path)
    stack.set_call_policy(json.dumps({"answer_as": "live"}))

    found = finding(cli)

    assert found["level"] == "error"
    assert "default: is missing" in found["detail"]
    assert "openai-webhooks calls set-policy" in found["fix"]


def test_a_long_policy_goes_to_s3(make_stack: MakeStack, tmp_path: Path) -> None:
    rule = {"when": [{"header": "X-A", "exact": "a" * 900}], "then": {"reject": {}}}
    file = policy_file(tmp_path, {"answer_as": "live", "rules": [rule] * 9, "default": {"reject": {}}})
    stack = make_stack()
    refused = Cli(stack, home=tmp_path).run("calls", "set-policy", file)
    assert (refused.code, "CallPolicyS3Uri" in refused.err) == (2, True)

    stack = make_stack(CallPolicyS3Uri="s3://long-policies/prod/policy.json")
    stack.emulator.client("s3").create_bucket(Bucket="long-policies")
    cli = Cli(stack, home=tmp_path)
    assert cli.run("calls", "set-policy", file).code == 0
    assert cli.run("--json", "calls", "check-policy").json() == {"valid": True, "warnings": []}


def finding(cli: Cli) -> dict[str, Any]:
    (found,) = [one for one in cli.run("doctor", "--json").json()["findings"] if one["check"] == "call policy"]
    return found
