"""The schemas of the outcomes: valid, complete and strict."""

import json
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.local.processes import ROOT
from infra.local.stack import CATEGORIES
from infra.local.watch import Outcome
from tests import schemas

TYPES = sorted(path.stem for path in (ROOT / "events" / "bodies").glob("*.json"))
FILES = sorted(schemas.FOLDER.glob("*.json"))


def outcome(event_type: str, detail: Any) -> Outcome:
    return Outcome("openai.webhooks", event_type, detail)


def example(event_type: str) -> dict[str, Any]:
    return deepcopy(schemas.schema_of(event_type)["examples"][0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_schema_is_valid(path: Any) -> None:
    schema = json.loads(path.read_text())

    Draft202012Validator.check_schema(schema)
    assert schema["$id"].rsplit("/", 1)[-1] == path.name
    assert schema["title"]
    assert schema["description"]


def test_every_type_and_every_category_has_a_schema() -> None:
    assert {path.stem for path in FILES} >= {"detail", *CATEGORIES, *TYPES}


@pytest.mark.parametrize("event_type", TYPES)
def test_the_example_of_a_type_is_valid(event_type: str) -> None:
    assert schemas.faults(outcome(event_type, example(event_type))) == []


@pytest.mark.parametrize("event_type", TYPES)
def test_an_undocumented_field_is_an_error(event_type: str) -> None:
    for spoil in (
        lambda detail: detail.pop("id"),
        lambda detail: detail.update(status=""),
        lambda detail: detail.update(surprise=1),
        lambda detail: detail["summary"].update(surprise=1),
    ):
        detail = example(event_type)
        spoil(detail)
        assert schemas.faults(outcome(event_type, detail)), detail


@pytest.mark.parametrize("event_type", TYPES)
def test_entries_may_be_left_out(event_type: str) -> None:
    detail = example(event_type)
    detail["summary"] = {"entries_left_out": 2}
    assert schemas.faults(outcome(event_type, detail)) == []
