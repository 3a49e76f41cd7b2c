"""A console in a browser, for tests: a stack that is filled once for a whole file, and a person who is signed in."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from infra.local.console import play, served
from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn
from infra.local.watch import Watch

_TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *")]
        .filter(it => !it.closest(".scroll") && it.getBoundingClientRect().right > innerWidth)
        .map(it => it.outerHTML.slice(0, 150))"""


@dataclass(frozen=True)
class Opened:
    """A console that somebody has signed in to."""

    stack: Stack
    openai: StandIn
    watch: Watch
    ids: dict[str, str]
    """Ids of what was played, by name."""
    base: str
    """Address below which the pages are."""
    cookies: Any
    """The session, as a context of the browser takes it."""

    @property
    def root(self) -> str:
        """Address below which the API is."""
        return self.base.removesuffix("/console")


@contextmanager
def opened(emulator: Emulator, folder: Path, chromium: Browser) -> Iterator[Opened]:
    """Deploy a stack, fill it, serve its console and sign in."""
    with StandIn(folder) as openai:
        stack = create(emulator, f"console-{uuid.uuid4().hex[:8]}", openai.base_url)
        watch = Watch(stack)
        stack.fill_secrets()
        stack.subscribe(openai)
        ids = play(stack, openai)
        with served(stack) as link:
            context = chromium.new_context()
            context.new_page().goto(link)
            yield Opened(stack, openai, watch, ids, link.partition("/enter?")[0], context.storage_state())
            context.close()
        stack.delete()


@contextmanager
def person(chromium: Browser, console: Opened, **options: Any) -> Iterator[Page]:
    """Yield a page of somebody who is signed in. Errors of the page and in its console fail the test."""
    context: BrowserContext = chromium.new_context(storage_state=console.cookies, **options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    # A page that says that there is none, or that a form has faults, is answered with such a status.
    assert [text for text in complaints if "the server responded with a status of 40" not in text] == []


def serious(page: Page, **options: Any) -> list[str]:
    """What axe finds that keeps somebody from using the page."""
    violations = Axe().run(page, options=options or None).response["violations"]
    return [
        f"{it['id']}: {it['nodes'][0]['html'][:120]}" for it in violations if it["impact"] in ("serious", "critical")
    ]


def too_wide(page: Page) -> list[str]:
    """Elements that reach beyond the window."""
    return page.evaluate(_TOO_WIDE)
