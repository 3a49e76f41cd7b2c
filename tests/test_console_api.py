"""The API's document against the API: schemathesis asks every operation, well and badly, and compares the answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.local.console import batch, served
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.visitor import Visitor

SECONDS = 25
"""Time for which schemathesis may try further requests. Then it ends what it has begun."""

BEYOND_A_SCHEMA = "positive_data_acceptance"
"""The check that is left out: a cursor of another list or an unknown type is refused, and no schema says so."""


def test_what_the_document_says_of_every_operation_is_so(stack: Stack, openai: StandIn, tmp_path: Path) -> None:
    batch(openai, 100, 45)
    with served(stack) as link:
        address, _, token = link.partition("/console/enter?link=")
        signed_in = Visitor(address).post_json("/api/session", {"link": token}).json()
        ran = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", f"{address}/api/openapi.json",
                "--header", f"Authorization: Bearer {signed_in['token']}",
                "--generation-deterministic", "--exclude-checks", BEYOND_A_SCHEMA,
                "--max-examples", "10", "--max-time", str(SECONDS), "--phases", "examples,coverage,fuzzing",
                "--no-color", "--warnings", "off",
            ],
            cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True,
            timeout=SECONDS + 60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr


SHAPES: list[Any] = [None, True, 7, "text", [], ["text"], [7], [[]], {}]
"""A value of every shape."""


def test_a_body_of_another_shape_is_refused_by_every_operation(stack: Stack) -> None:
    with served(stack) as link:
        address, _, token = link.partition("/console/enter?link=")
        program = Visitor(address)
        signed_in = program.post_json("/api/session", {"link": token}).json()
        headers = {"Authorization": f"Bearer {signed_in['token']}"}
        document = program.get("/api/openapi.json", **headers).json()
        asked = set()
        for path, item in document["paths"].items():
            if "requestBody" not in item.get("post", {}):
                continue
            members = _resolved(item["post"]["requestBody"]["content"]["application/json"]["schema"], document)
            right = {name: _one(schema, document) for name, schema in members["properties"].items()}
            bodies = [shape for shape in SHAPES if not isinstance(shape, dict)] + [list(right.values())]
            for name, schema in members["properties"].items():
                words = [{word: None} for word in _resolved(schema, document).get("enum", [])]
                shapes = [shape for shape in SHAPES + words if not _fits(shape, schema, document)]
                assert shapes, (path, name)
                bodies += [right | {name: shape} for shape in shapes]
            for body in bodies:
                answer = program.post_json(path.replace("{", "").replace("}", ""), body, **headers)
                assert (answer.status, answer.reason()) == (422, "unusable_body"), (path, json.dumps(body), answer.text)
            asked.add(path)
        assert {"/api/calls", "/api/calls/{id}/message", "/api/batches", "/api/session"} <= asked


def _resolved(schema: Any, document: Any) -> Any:
    """A schema, or the one that it refers to; the one beside null."""
    for one in schema.get("oneOf", []):
        if one.get("type") != "null":
            return _resolved(one, document)
    if "$ref" in schema:
        return _resolved(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    return schema


def _types(schema: Any, document: Any) -> list[str]:
    types = _resolved(schema, document)["type"]
    return types if isinstance(types, list) else [types]


def _one(schema: Any, document: Any) -> Any:
    """A value that fits the schema."""
    schema = _resolved(schema, document)
    kind = _types(schema, document)[0]
    if kind == "array":
        return [_one(schema["items"], document)]
    return schema.get("enum", [{"string": "text", "boolean": False, "integer": 1, "object": {}}.get(kind)])[0]


def _fits(shape: Any, schema: Any, document: Any) -> bool:
    """Whether the shape is one of the schema's: of texts, any."""
    schema = _resolved(schema, document)
    names = {type(None): "null", bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    if names[type(shape)] not in _types(schema, document) or ("enum" in schema and shape not in schema["enum"]):
        return False
    return not isinstance(shape, list) or all(_fits(one, schema["items"], document) for one in shape)
