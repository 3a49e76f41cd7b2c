"""Whether built functions run on Amazon Linux 2023, which has an older C library than most machines that build them.

    python -m infra.checks.glibc target/lambda

The exit code is 1 if a function asks for a newer one, or is not for Linux; each such function is printed.
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
    asked = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary.read_bytes())
    if not asked:
        return f"{binary} asks for no glibc: it is not for Linux"
    major, minor = max((int(major), int(minor)) for major, minor in asked)
    if (major, minor) <= NEWEST:
        return None
    return f"{binary} asks for glibc {major}.{minor}; Amazon Linux 2023 has {NEWEST[0]}.{NEWEST[1]}"


def main(folder: Path) -> int:
    """Return the exit code."""
    binaries = sorted(folder.glob("*/bootstrap"))
    faults = [one for binary in binaries if (one := fault(binary))]
    if not binaries:
        faults = [f"{folder} has no built function"]
    print("\n".join(faults) or f"The functions in {folder} run on Amazon Linux 2023: {len(binaries)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
