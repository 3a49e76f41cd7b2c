"""`make acceptance`, as far as this machine can play it."""

import os
from pathlib import Path

from tests.test_make_deploy import made


def test_what_an_account_would_confirm_is_confirmed_here_as_far_as_it_can_be(tmp_path: Path) -> None:
    said = made(["acceptance"], {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})

    lines = [line for line in said.splitlines() if line.startswith(("ok ", "- ", "FAILED"))]
    assert not any(line.startswith("FAILED") for line in lines), said
    assert sum(line.startswith("ok ") for line in lines) == 9, said
    assert all("not run, " in line for line in lines if line.startswith("- "))
    assert lines[-1].startswith("ok      Everything of acceptance-")
