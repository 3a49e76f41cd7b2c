"""The pages about security name tests that exist."""

import re

import pytest

from infra.local.processes import ROOT

_NAMED = re.compile(r"`([\w./-]+\.(?:py|rs|json))`|`((?:[a-z0-9]+_){3,}[a-z0-9]+)`")


@pytest.mark.parametrize("page", ["security.md", "threat-model.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    text, found, file = (ROOT / "docs" / page).read_text(), 0, None
    for path, name in _NAMED.findall(text):
        if path:
            file = ROOT / path
            assert file.is_file(), path
        else:
            assert file is not None, name
            assert re.search(rf"\b(?:fn|def) {name}\b", file.read_text()), f"{name} is not in {file.relative_to(ROOT)}"
            found += 1
    assert found >= 15
