"""Which binaries run on Amazon Linux 2023."""

from pathlib import Path

import pytest

from infra.checks.glibc import fault, main


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (b"GLIBC_2.9\0GLIBC_2.34\0", None),
        (b"GLIBC_2.9\0GLIBC_2.35\0", "asks for glibc 2.35; Amazon Linux 2023 has 2.34"),
        (b"GLIBC_10.0\0", "asks for glibc 10.0"),
        (b"\xcf\xfa\xed\xfe", "not for Linux"),
    ],
)
def test_a_binary_that_asks_for_more_than_the_system_has_is_named(
    tmp_path: Path, asked: bytes, said: str | None
) -> None:
    binary = tmp_path / "verifier" / "bootstrap"
    binary.parent.mkdir()
    binary.write_bytes(asked)

    found = fault(binary)

    assert (found is None) if said is None else said in (found or "")
    assert main(tmp_path) == (0 if said is None else 1)


def test_a_folder_without_a_function_is_not_taken_for_a_right_one(tmp_path: Path) -> None:
    assert main(tmp_path) == 1
    assert "does not exist" in (fault(tmp_path / "verifier" / "bootstrap") or "")
