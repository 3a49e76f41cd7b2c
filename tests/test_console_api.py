"""The API's document against the API: schemathesis asks every operation, well and badly, and compares the answers."""

import subprocess
import sys
from pathlib import Path

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
