"""Who is not let in, in a browser, behind a domain of one's own: what the page says, and that it tells nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page

from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn
from tests.consoles import serious, too_wide
from tests.front import Front
from tests.test_console_deployed import change, kept, link
from tests.visitor import Visitor
from tests.waiting import wait_until

NOT_VALID = "This link is not valid: each works once, and not for long."
NOT_SIGNED_IN = "You are not signed in, or no longer."
WHAT_TO_DO = "Get a link: openai-webhooks console --deployed"


@dataclass(frozen=True)
class Hosted:
    """A console behind a domain."""

    stack: Stack
    url: str
    chromium: Browser

    def window(self, **options: object) -> Page:
        """A window of somebody who has not signed in."""
        return self.chromium.new_context(**options).new_page()

    def signed_in(self, *options: str) -> Page:
        """A window of somebody who has signed in."""
        page = self.window()
        page.goto(link(self.stack, *options))
        page.wait_for_url(f"{self.url}/console")
        return page

    def expire(self, prefix: str) -> None:
        """Let the time of links or sessions be over."""
        for item in kept(self.stack, prefix):
            change(self.stack, item, "valid_until", {"N": "1"})


@pytest.fixture(scope="module")
def hosted(emulator: Emulator, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A stack with its console, which all tests here share."""
    with StandIn(tmp_path_factory.mktemp("openai")) as openai, Front() as front:
        stack = create(emulator, "t-sign-in", openai.base_url, {"WebhookBaseUrl": front.url})
        stack.fill_secrets()
        front.stack = stack
        yield Hosted(stack, front.url, chromium)
        stack.delete()


def open_(page: Page, address: str) -> int:
    """Open an address, and return the status."""
    answer = page.goto(address)
    assert answer is not None
    return answer.status


def refused(page: Page, says: str) -> str:
    """What a page shows that lets nobody in: what happened, what to do, and nothing of the stack."""
    text = page.locator("main").inner_text()
    assert says in text
    assert WHAT_TO_DO in text
    assert page.locator("header, nav, form").count() == 0
    assert serious(page) == []
    assert too_wide(page) == []
    return page.content()


def test_wrong_used_and_old_links_have_the_same_page(hosted: Hosted) -> None:
    used, old = link(hosted.stack), link(hosted.stack)
    first = hosted.window()
    first.goto(used)
    first.wait_for_url(f"{hosted.url}/console")
    unused = [item for item in kept(hosted.stack, "link#") if "used" not in item]
    assert len(unused) == 1
    change(hosted.stack, unused[0], "valid_until", {"N": "1"})

    page = hosted.window(viewport={"width": 390, "height": 844})
    wrong = f"{hosted.url}/console/enter?link={'0' * 64}"
    shown = set()
    for address in (used, old, wrong, f"{hosted.url}/console/enter", f"{wrong}<script>alert(1)</script>"):
        assert open_(page, address) == 401
        shown.add(refused(page, NOT_VALID))
    assert len(shown) == 1, "which of them it is, nobody is told"
    assert hosted.stack.name not in shown.pop()
    assert page.context.cookies() == []
    assert open_(page, f"{hosted.url}/console") == 401


@pytest.mark.parametrize("how", ["expired", "revoked", "signed out elsewhere", "without its key"])
def test_a_session_that_is_over_leads_to_the_way_in(hosted: Hosted, how: str) -> None:
    page = hosted.signed_in()
    page.goto(f"{hosted.url}/console/alerts")
    sessions = kept(hosted.stack, "session#")
    if how == "expired":
        hosted.expire("session#")
    if how == "revoked":
        for item in sessions:
            change(hosted.stack, item, "ended", {"N": "1"})
    if how == "signed out elsewhere":
        other = page.context.new_page()
        other.goto(f"{hosted.url}/console")
        other.get_by_role("button", name="Sign out").click()
        assert "signed out" in other.locator("main").inner_text()
    if how == "without its key":
        table, key = hosted.stack.outputs["TableName"], {"pk": {"S": "console#key"}, "sk": {"S": "key"}}
        hosted.stack.emulator.client("dynamodb").delete_item(TableName=table, Key=key)
        hosted.stack.kill("console")
        # The emulator may give a first request to the process that was killed.
        stranger = Visitor(hosted.url)
        wait_until("a new process answers", lambda: stranger.get("/console").status == 401)

    # What the open page sends is refused, and nothing is done.
    page.get_by_role("button", name="Send a test").click()
    acted = refused(page, NOT_SIGNED_IN)
    assert open_(page, f"{hosted.url}/console/events") == 401
    assert refused(page, NOT_SIGNED_IN) == acted
    assert hosted.stack.name not in acted
    assert [line for line in hosted.stack.logs("console") if "console: acts" in line] == []

    page.goto(link(hosted.stack))
    page.wait_for_url(f"{hosted.url}/console")
    assert hosted.stack.name in page.locator("header").inner_text()
    page.context.close()


def test_a_page_that_refreshes_says_that_the_session_is_over(hosted: Hosted) -> None:
    page = hosted.signed_in()
    page.goto(f"{hosted.url}/console/events")
    hosted.expire("session#")
    page.keyboard.press(".")
    page.get_by_text(NOT_SIGNED_IN).wait_for()
    refused(page, NOT_SIGNED_IN)
    page.context.close()


def test_a_page_that_cannot_be_read_again_says_so(hosted: Hosted) -> None:
    page = hosted.signed_in()
    page.goto(f"{hosted.url}/console/events")
    page.route("**/*", lambda route: route.abort())
    page.keyboard.press(".")
    page.get_by_text("could not be read again at").wait_for()
    page.context.close()


def test_a_viewer_is_told_what_is_lacking(hosted: Hosted) -> None:
    page = hosted.signed_in("--read-only")
    page.goto(f"{hosted.url}/console/alerts")
    assert page.get_by_role("button", name="Send a test").is_disabled()
    assert "Read-only: this is for operators." in page.locator("main").inner_text()
    page.context.close()
