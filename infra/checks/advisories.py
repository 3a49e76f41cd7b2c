"""Compares Cargo.lock with RustSec's advisories: `python -m infra.checks.advisories`.

They are in advisories.json, a snapshot: a check that needs the network is skipped when there is none. To take another
from a clone of https://github.com/rustsec/advisory-db (public domain, CC0):

    python -m infra.checks.advisories --snapshot path/to/advisory-db

`IGNORED` says which advisories do not concern the project, and why.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("advisories.json")

IGNORED: dict[str, str] = {
    "RUSTSEC-2023-0071": "rsa checks signatures of tokens here; the attack is on private keys",
}
"""Ids of advisories that are known, each with the reason why it does not concern the project."""

Version = tuple[int, int, int, bool, str]


def version(text: str) -> Version:
    """Version of a crate, in the order of semantic versioning as far as advisories need it."""
    numbers, _, pre = text.partition("+")[0].partition("-")
    major, minor, patch = ([int(number) for number in numbers.split(".")] + [0, 0])[:3]
    return major, minor, patch, not pre, pre


def meets(given: str, requirement: str) -> bool:
    """Whether a version meets a requirement such as `>=1.2.3, <2` or `^0.4.1`."""
    return all(_meets(version(given), part.strip()) for part in requirement.split(","))


def _meets(given: Version, part: str) -> bool:
    operator, text = re.fullmatch(r"(\^|~|>=|<=|>|<|=)?\s*(.+)", part).groups()  # type: ignore[union-attr]
    wanted = version(text)
    match operator:
        case ">=":
            return given >= wanted
        case ">":
            return given > wanted
        case "<=":
            return given <= wanted
        case "<":
            return given < wanted
        case "=":
            return given == wanted
        case "~":
            return given >= wanted and given[:2] == wanted[:2]
        case _:
            # The first number that is not 0 stays.
            kept = next((place + 1 for place, number in enumerate(wanted[:3]) if number), 3)
            return given >= wanted and given[:kept] == wanted[:kept]


def found(packages: Iterable[tuple[str, str]], advisories: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each advisory that one of the packages is affected by."""
    locked: dict[str, list[str]] = {}
    for name, given in packages:
        locked.setdefault(name, []).append(given)
    return [
        f"{advisory['id']}: {advisory['package']} {given}: {advisory['title']}. Fixed: {advisory['patched'] or 'no'}."
        for advisory in advisories
        for given in locked.get(advisory["package"], [])
        if not any(meets(given, requirement) for requirement in advisory["patched"] + advisory["unaffected"])
        and advisory["id"] not in IGNORED
    ]


def take_snapshot(clone: Path) -> dict[str, Any]:
    """Advisories of a clone, with the commit that they are of."""
    git = ["git", "-C", str(clone)]
    commit, date = subprocess.check_output([*git, "log", "-1", "--format=%H %cs"], text=True).split()
    names = subprocess.check_output([*git, "ls-tree", "-r", "--name-only", "HEAD", "crates"], text=True).split()
    advisories = []
    for name in names:
        text = subprocess.check_output([*git, "show", f"HEAD:{name}"], text=True)
        front = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
        title = re.search(r"^# (.+)$", text, re.MULTILINE)
        if front is None or title is None:
            continue
        read = tomllib.loads(front[1])
        if "withdrawn" not in read["advisory"]:
            versions = read.get("versions", {})
            advisories.append(
                {
                    "id": read["advisory"]["id"],
                    "package": read["advisory"]["package"],
                    "title": title[1].replace("`", ""),
                    "patched": versions.get("patched", []),
                    "unaffected": versions.get("unaffected", []),
                }
            )
    return {"commit": commit, "date": date, "advisories": sorted(advisories, key=lambda advisory: advisory["id"])}


def main(arguments: list[str]) -> int:
    """Check, or take a snapshot. Return 1 if an advisory concerns the project."""
    if arguments[:1] == ["--snapshot"]:
        lines = json.dumps(take_snapshot(Path(arguments[1])), ensure_ascii=False).replace('}, {"id"', '},\n{"id"')
        SNAPSHOT.write_text(lines + "\n")
        return 0
    snapshot = json.loads(SNAPSHOT.read_text())
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    third_party = [(package["name"], package["version"]) for package in packages if "source" in package]
    lines = found(third_party, snapshot["advisories"])
    number, date = len(snapshot["advisories"]), snapshot["date"]
    print(f"{len(third_party)} crates, {number} advisories of {date}: {len(lines) or 'none'} found", *lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
