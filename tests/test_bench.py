"""`make bench` measures the build that `make build` makes."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _features(packages: list[str]) -> dict[str, str]:
    """Features of every crate in one build of these packages."""
    options = [f"--package={package}" for package in packages]
    tree = ["cargo", "tree", "--edges=normal,build", "--prefix=none", "--format={p}|{f}", *options]
    # Whoever has cargo unify features over the whole workspace would see no difference.
    environment = {name: value for name, value in os.environ.items() if "FEATURE_UNIFICATION" not in name}
    run = subprocess.run(tree, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    lines = run.stdout.splitlines()
    return dict(line.removesuffix(" (*)").split("|") for line in lines if line)


def _measured() -> list[str]:
    """Packages of the only release build of `make bench`: a second one might compile a dependency again."""
    recipe = (ROOT / "Makefile").read_text().partition("\nbench:")[2].partition("\n\n")[0]
    (build,) = re.findall(r"cargo build --release (.*)", recipe)
    return re.findall(r"--package (\S+)", build)


def test_the_measured_functions_are_built_with_the_deployed_features() -> None:
    """Cargo unifies features over the packages of one build, so the two builds could differ."""
    measured = _features(_measured())
    deployed = _features([folder.name for folder in (ROOT / "functions").iterdir()])
    ours = _features(["verifier", "batch"])
    assert len(ours) > 100
    assert {crate: measured[crate] for crate in ours} == {crate: deployed[crate] for crate in ours}


def test_the_benchmarks_need_no_aws_sdk() -> None:
    crates = _features([package for package in _measured() if package not in ("verifier", "batch")])
    assert [crate for crate in crates if crate.startswith("aws-sdk-")] == []
