"""Whether built functions run on Amazon Linux 2023, which has an older C library than most machines that build them.

    python -m infra.checks.glibc target/lambda

Prints the newest glibc that the functions in the folder ask for. The exit code is 1 if that is too new, or if a
function is not for Linux.
"""

import re
import sys
from pathlib import Path

NEWEST = (2, 34)
"""glibc of Amazon Linux 2023."""


def fault(binary: Path) -> str | None:
    """Reason why a binary cannot run on Amazon Linux 2023, if there is one."""
    if not binary.is_file():
        return f"{binary} does not exist"
    found = newest(binary)
    if found is None:
        return f"{binary} asks for no glibc: it is not for Linux"
    if found <= NEWEST:
        return None
    return f"{binary} asks for glibc {found[0]}.{found[1]}; Amazon Linux 2023 has {NEWEST[0]}.{NEWEST[1]}"


def newest(binary: Path) -> tuple[int, int] | None:
    """Newest version of glibc that a binary asks for; `None` if it asks for none."""
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary.read_bytes())
    return max(((int(major), int(minor)) for major, minor in found), default=None)


def main(folder: Path) -> int:
    """Return the exit code."""
    binaries = sorted(folder.glob("*/bootstrap"))
    faults = [one for binary in binaries if (one := fault(binary))]
    if not binaries:
        faults = [f"{folder} has no built function"]
    for one in faults:
        print(one)
    if not faults:
        major, minor = max(found for binary in binaries if (found := newest(binary)))
        print(f"{len(binaries)} in {folder} ask for glibc {major}.{minor} at most: they run on Amazon Linux 2023")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
