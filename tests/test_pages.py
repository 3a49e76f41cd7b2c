"""Pages of the documentation: none is empty, and every link from one to another leads somewhere."""

import re
import subprocess
from pathlib import Path

import pytest

from infra.local.processes import ROOT

CRATE = "shared/webhook/README.md"
"""The documentation of a crate, whose links rustdoc checks."""

_TRACKED = subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
PAGES = [ROOT / name for name in _TRACKED if name != CRATE]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]*))?\)")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.S | re.M)


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.S | re.M), re.M)
    names: list[str] = []
    for heading in headings:
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        names.append(name if name not in names else f"{name}-{names.count(name)}")
    return set(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_a_title_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# ")
    for target, anchor in _LINK.findall(_CODE.sub("", text)):
        found = page.parent / target if target else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{target}#{anchor}"
