"""What a policy for calls is: the JSON Schema agrees with the function, which reads the same files in its own test."""

import json
from pathlib import Path

import jsonschema
import pytest

from infra.local.processes import ROOT

CORPUS = Path(__file__).parent / "call_policies"
SCHEMA = json.loads((ROOT / "docs" / "call-policy.schema.json").read_text())


def policies(folder: str) -> list[Path]:
    found = sorted((CORPUS / folder).glob("*.json"))
    assert found
    return found


def accepts(policy: object) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(policy)


def test_the_schema_is_one_and_its_examples_are_good() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert all(accepts(example) for example in SCHEMA["examples"])


@pytest.mark.parametrize("policy", policies("good"), ids=lambda path: path.stem)
def test_a_good_policy_is_accepted(policy: Path) -> None:
    assert accepts(json.loads(policy.read_text()))


@pytest.mark.parametrize("policy", policies("bad"), ids=lambda path: path.stem)
def test_a_bad_policy_is_refused(policy: Path) -> None:
    assert not accepts(json.loads(policy.read_text()))


@pytest.mark.parametrize("policy", policies("bad_pattern"), ids=lambda path: path.stem)
def test_whether_a_pattern_can_be_used_only_the_function_knows(policy: Path) -> None:
    assert accepts(json.loads(policy.read_text()))
