"""Advisories: which versions one is about, and that the snapshot is there."""

import json

import pytest

from infra.checks.advisories import IGNORED, SNAPSHOT, found, meets

ADVISORY = {
    "id": "RUSTSEC-1",
    "package": "crate",
    "title": "Bad",
    "patched": [">=1.2.3", "^0.9.4"],
    "unaffected": ["<0.3"],
}


@pytest.mark.parametrize(
    ("given", "requirement", "met"),
    [
        ("1.2.3", ">=1.2.3", True),
        ("1.2.3-rc.1", ">=1.2.3", False),
        ("1.10.0", ">= 1.9", True),
        ("2.0.0", ">=1.2.3, <2", False),
        ("0.9.5", "^0.9.4", True),
        ("0.10.0", "^0.9.4", False),
        ("1.9.0", "^1.2", True),
        ("0.0.4", "^0.0.3", False),
        ("1.2.9", "~1.2.3", True),
        ("1.3.0", "~1.2.3", False),
        ("1.0.0+build", "=1.0.0", True),
    ],
)
def test_versions_are_compared_as_cargo_does(given: str, requirement: str, *, met: bool) -> None:
    assert meets(given, requirement) == met


def test_a_version_that_no_fix_covers_is_found() -> None:
    packages = [("crate", "0.2.9"), ("crate", "0.9.3"), ("crate", "1.2.3"), ("other", "0.9.3")]

    (line,) = found(packages, [ADVISORY])

    assert line.startswith("RUSTSEC-1: crate 0.9.3: Bad")
    assert found([("crate", "0.9.3")], [ADVISORY | {"patched": []}])


def test_the_snapshot_says_what_it_is_and_every_ignored_advisory_is_in_it() -> None:
    snapshot = json.loads(SNAPSHOT.read_text())

    assert len(snapshot["advisories"]) > 1000
    assert len(snapshot["commit"]) == 40
    assert {advisory["id"] for advisory in snapshot["advisories"]} >= IGNORED.keys()
    assert all(IGNORED.values())
