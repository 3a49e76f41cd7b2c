"""`calls show`, `say`, `update`, `transfer`, `list`: arguments that cannot be used."""

import pytest

from tests.cli import Cli


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "../x"],
        ["say", "live_1", " "],
        ["say", "live_1", "x" * 2001],
        ["say", "live_1", "Hello", "--message", "--instruction"],
        ["transfer", "live_1", "tel:"],
        ["list", "--limit", "0"],
    ],
)
def test_unusable_arguments_are_refused(arguments: list[str]) -> None:
    assert Cli().run("calls", *arguments).code == 2


@pytest.mark.parametrize("change", ["", "[]", "{", '"text"'])
def test_a_change_that_is_no_object_is_refused(change: str) -> None:
    assert Cli().run("calls", "update", "live_1", "-", stdin=change).code == 2
