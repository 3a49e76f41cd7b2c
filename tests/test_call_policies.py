"""The JSON Schema of policies for calls. The parser's own tests read the same files, so both agree."""

import json
from pathlib import Path

import jsonschema
import pytest

from infra.local.processes import ROOT

CORPUS = Path(__file__).parent / "call_policies"
SCHEMA = json.loads((ROOT / "docs" / "call-policy.schema.json").read_text())


DOCUMENTED = sorted((ROOT / "docs" / "call-policies").glob("*.json"))


def policies(folder: str) -> list[Path]:
    found = sorted((CORPUS / folder).glob("*.json"))
    assert found
    return found


def accepts(policy: object) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(policy)


def test_the_schema_is_valid_and_accepts_its_examples() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert all(accepts(example) for example in SCHEMA["examples"])


@pytest.mark.parametrize("policy", policies("good") + DOCUMENTED, ids=lambda path: path.stem)
def test_a_good_policy_is_accepted(policy: Path) -> None:
    assert accepts(json.loads(policy.read_text()))


@pytest.mark.parametrize("policy", policies("bad"), ids=lambda path: path.stem)
def test_a_bad_policy_is_rejected(policy: Path) -> None:
    assert not accepts(json.loads(policy.read_text()))


@pytest.mark.parametrize("policy", policies("bad_for_the_function"), ids=lambda path: path.stem)
def test_what_only_the_function_rejects_is_accepted(policy: Path) -> None:
    assert accepts(json.loads(policy.read_text()))
