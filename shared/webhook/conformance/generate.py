"""Writes the conformance corpus: deliveries, and what a verifier must say of each.

    python3 shared/webhook/conformance/generate.py [--check]

The signatures are computed here, by Python's own `hmac`, `hashlib` and `base64`, and never by the code that the corpus
tests. Two deliveries were not signed here but taken from elsewhere: `official.json` says where from.

Every section (a file) is about one decision and holds vectors in both directions: what must be accepted, and what must
be refused for which reason. `--check` writes nothing and fails when a file differs from what would be written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import sections
from signing import Vector

FOLDER = Path(__file__).parent
SIGNED_BY = "Python's hmac, hashlib and base64, in signing.py"
OFFICIAL = "openai-python (tests/api_resources/test_webhooks.py) and the Standard Webhooks specification"

SECTIONS: dict[str, tuple[str, list[Vector]]] = {
    "official": (
        "deliveries signed by others: openai-python's own test, and the Standard Webhooks specification",
        sections.official(),
    ),
    "order": ("size, headers, timestamp, signature, and only then JSON", sections.order()),
    "headers": ("exactly one line of each of the three headers", sections.header_lines()),
    "timestamp": ("the text is signed as received; ASCII digits only, of any number", sections.timestamp()),
    "window": ("300 s both ways, bounds included", sections.window()),
    "signatures": ("any number of signatures, only those of version v1 count", sections.signatures()),
    "compare": ("the very bytes that were signed, under the very key, in strict base64", sections.compare()),
    "keys": ("any of the live secrets may match", sections.keys()),
    "body": ("any bytes are verified alike; only an event gets further", sections.bodies()),
    "secret": ("whsec_ and strict base64 of 16 bytes or more", sections.secrets()),
    "timestamped-hex": (
        "the legacy scheme, and that the two schemes never accept each other's deliveries",
        sections.legacy(),
    ),
}


def text(section: str) -> str:
    """The content of a section's file."""
    about, vectors = SECTIONS[section]
    signed_by = OFFICIAL if section == "official" else SIGNED_BY
    document = {"section": section, "about": about, "signed_by": signed_by, "vectors": vectors}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks all sections."""
    parser = argparse.ArgumentParser(description="Writes the conformance corpus.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is not up to date")
    check = parser.parse_args(arguments).check
    stale = [path for path in sorted(FOLDER.glob("*.json")) if path.stem not in SECTIONS]
    for section in SECTIONS:
        path = FOLDER / f"{section}.json"
        if not check:
            path.write_text(text(section), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text(section):
            stale.append(path)
    for path in stale:
        print(f"{path}: not what generate.py writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
