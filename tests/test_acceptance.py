"""`make acceptance`, as far as this machine can play it: one stack."""

import os
from pathlib import Path

from infra.acceptance.steps import STEPS
from tests.test_make_deploy import made


def test_what_an_account_would_confirm_is_confirmed_here_as_far_as_it_can_be(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    said = made(["acceptance"], environment)

    seen = [line for line in said.splitlines() if line.startswith(("ok ", "- ", "FAILED"))]
    marks = [(line.split()[0], line[8:].partition(":")[0]) for line in seen]
    expected = [("ok" if step.not_local is None else "-", step.title) for step in STEPS]
    assert marks == [*expected, ("ok", "Removal")], said
    reasons = [line.partition(": not on the local stack: ")[2] for line in seen if line.startswith("-")]
    assert all(len(reason.split()) > 3 for reason in reasons), said


def test_each_step_of_an_account_alone_says_why() -> None:
    assert sum(step.not_local is None for step in STEPS) >= 7
    assert len({step.title for step in STEPS}) == len(STEPS)
