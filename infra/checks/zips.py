"""Compares two builds of a function, as zips that Lambda gets: `python -m infra.checks.zips ONE OTHER`."""

import hashlib
import io
import sys
import zipfile
from pathlib import Path

DATE = (1980, 1, 1, 0, 0, 0)


def packed(binary: Path) -> bytes:
    """Zip of a function whose bytes depend on the binary alone."""
    entry = zipfile.ZipInfo("bootstrap", DATE)
    entry.external_attr = 0o100755 << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(entry, binary.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def main(arguments: list[str]) -> int:
    """Return 1 if they differ."""
    digests = [hashlib.sha256(packed(Path(argument))).hexdigest() for argument in arguments]
    for argument, digest in zip(arguments, digests, strict=True):
        print(f"{digest}  {argument}")
    same = len(set(digests)) == 1
    print("the same bytes" if same else "they differ")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
