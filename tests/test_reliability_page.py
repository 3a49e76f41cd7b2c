"""The rules in docs/reliability.md are those of the code."""

from infra.local.processes import ROOT


def test_the_table_of_rules_is_that_of_the_protocol() -> None:
    # A test in Rust checks that one against `decide`.
    source = (ROOT / "shared/protocol/src/lib.rs").read_text()
    rules = "\n".join(line.removeprefix("//! ") for line in source.splitlines() if line.startswith("//! |"))

    assert rules.count("\n") > 5
    assert rules in (ROOT / "docs/reliability.md").read_text(), f"the table should be:\n{rules}"
