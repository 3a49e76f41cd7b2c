"""Validation of published outcomes against `docs/outcomes/schemas`."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from infra.local.processes import ROOT
from infra.local.stack import category_of
from infra.local.watch import Outcome

FOLDER = ROOT / "docs" / "outcomes" / "schemas"


def faults(outcome: Outcome) -> list[str]:
    """The differences between an outcome and its schema, one line each."""
    found = _validator(outcome.detail_type).iter_errors(outcome.detail)
    return [f"{outcome.detail_type}: {error.json_path}: {error.message}" for error in found]


def schema_of(event_type: str) -> dict[str, Any]:
    """The schema of an event type, or of its category if the type has none."""
    return _schemas().get(event_type) or _schemas()[category_of(event_type)]


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}


@cache
def _validator(event_type: str) -> Draft202012Validator:
    resources = [(schema["$id"], Resource.from_contents(schema)) for schema in _schemas().values()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator(schema_of(event_type), registry=registry)
