"""`make bench` measures the build that `make build` makes."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _features(packages: list[str]) -> dict[str, str]:
    """Features of every crate in one build of these packages."""
    options = [f"--package={package}" for package in packages]
    tree = ["cargo", "tree", "--edges=normal,build", "--prefix=none", "--format={p}|{f}", *options]
    lines = subprocess.run(tree, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.removesuffix(" (*)").split("|") for line in lines if line)


def test_the_measured_functions_are_built_with_the_deployed_features() -> None:
    """Cargo unifies features over the packages of one build, so the two builds could differ."""
    makefile = (ROOT / "Makefile").read_text()
    (build,) = re.findall(r"^\tcargo build --release (--package verifier .*)$", makefile, re.MULTILINE)
    measured = _features(re.findall(r"--package (\S+)", build))
    deployed = _features([folder.name for folder in (ROOT / "functions").iterdir()])
    ours = _features(["verifier", "batch"])
    assert len(ours) > 100
    assert {crate: measured[crate] for crate in ours} == {crate: deployed[crate] for crate in ours}
