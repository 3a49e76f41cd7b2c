"""The console in a browser, as a person uses it: signed in by the link, on a stack with something of everything."""

import http.client
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from infra.local.console import batch, browser, pages, play, requests, served
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.waiting import wait_until

TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *")]
        .filter(it => !it.closest(".scroll") && it.getBoundingClientRect().right > innerWidth)
        .map(it => it.outerHTML.slice(0, 150))"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's browser."""
    with browser() as started:
        yield started


def signed_in(chromium: Browser, link: str, **options: object) -> tuple[BrowserContext, Page, str]:
    """A page of somebody who has opened the link, and the console's address."""
    context = chromium.new_context(**options)
    page = context.new_page()
    page.goto(link)
    return context, page, link.partition("/enter?")[0]


def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{it['id']}: {it['nodes'][0]['html'][:120]}" for it in violations if it["impact"] in ("serious", "critical")
    ]


def test_every_page_is_shown_in_full_on_a_desk_and_a_phone(stack: Stack, openai: StandIn, chromium: Browser) -> None:
    ids = play(stack, openai)
    with served(stack) as link:
        context, page, base = signed_in(chromium, link, viewport={"width": 1280, "height": 900})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for name, path in pages(ids).items():
            answer = page.goto(base + path)
            assert answer is not None
            assert answer.status == (404 if name == "missing" else 200), name
            assert serious(page) == [], name
            page.set_viewport_size({"width": 390, "height": 844})
            assert page.evaluate(TOO_WIDE) == [], f"{name} on a phone"
            page.set_viewport_size({"width": 1280, "height": 900})
        assert [text for text in complaints if "404" not in text] == []
        cookies = context.storage_state()
        context.close()

        without = chromium.new_context(storage_state=cookies, java_script_enabled=False)
        page = without.new_page()
        for path in pages(ids).values():
            assert page.goto(base + path) is not None
            assert page.locator("main").inner_text().strip(), path
        without.close()


def test_a_batch_under_way_shows_how_far_it_is(stack: Stack, openai: StandIn, chromium: Browser) -> None:
    under_way = batch(openai, 100, 45)
    with served(stack) as link:
        context, page, base = signed_in(chromium, link)
        page.goto(f"{base}/batches/{under_way}")
        expect(page.locator("main")).to_contain_text("45/100 complete")
        page.goto(f"{base}/batches")
        expect(page.locator("main")).to_contain_text("45/100 complete")
        root = base.removesuffix("/console")
        assert context.request.get(f"{root}/api/batches/{under_way}").json()["progress"] == "45/100 complete"
        context.close()


def test_ten_requests_are_checked_submitted_and_become_a_batch(
    stack: Stack, openai: StandIn, chromium: Browser
) -> None:
    with served(stack) as link:
        context, page, base = signed_in(chromium, link)
        page.goto(f"{base}/batches/new")
        page.fill("#requests", requests(3) + "not JSON\n")
        page.get_by_role("button", name="Check every line").click()
        expect(page.locator("main")).to_contain_text("1 fault; nothing was sent.")
        assert openai.sdk().batches.list().data == []

        page.fill("#requests", requests(10))
        page.get_by_role("button", name="Check every line").click()
        page.get_by_role("button", name=re.compile("^Submit")).click()
        [made] = openai.sdk().batches.list().data
        expect(page.locator("main")).to_contain_text(made.id)
        assert made.input_file_id
        context.close()


def test_a_failed_event_is_replayed_once_its_cause_is_gone(stack: Stack, openai: StandIn, chromium: Browser) -> None:
    openai.fault("GET /v1/responses/{id}", "status", status=401)
    made = openai.sdk().responses.create(model="gpt-6-luna", input="?", background=True)
    [delivery] = openai.finish_response(made.id, text="Kept at last.")["deliveries"]
    webhook_id = delivery["webhook_id"]
    wait_until("it has failed", lambda: (stack.event(webhook_id) or {}).get("state") == "failed")
    openai.clear_faults()
    with served(stack) as link:
        context, page, base = signed_in(chromium, link)
        page.goto(f"{base}/events/project/{quote(webhook_id)}")
        page.get_by_role("button", name="Replay…").click()
        assert (stack.event(webhook_id) or {})["state"] == "failed", "the first page is a dry run"
        page.get_by_role("button", name="Replay 1 event").click()
        wait_until("it is completed", lambda: (stack.event(webhook_id) or {}).get("state") == "completed")
        context.close()


def ask(base: str, path: str, **headers: str) -> int:
    """Status of a request with exactly these headers."""
    place = urlsplit(base)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=10)
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": place.netloc, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_nobody_comes_in_by_another_way(stack: Stack, chromium: Browser) -> None:
    with served(stack) as link:
        base = link.partition("/enter?")[0]
        path = urlsplit(base).path
        assert ask(base, path) in (401, 403)
        assert ask(base, "/api/dashboard") == 401
        assert ask(base, path, Host="evil.example") in (403, 421)
        context, page, _ = signed_in(chromium, link)
        expect(page.locator("main")).to_be_visible()
        [cookie] = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        foreign = context.request.post(f"{base}/alerts/test", headers={"Origin": "https://evil.example"})
        assert foreign.status == 403
        assert context.request.post(f"{base}/alerts/test", form={}).status == 403, "without the session's token"
        context.close()

        again = chromium.new_context()
        answer = again.new_page().goto(link)
        assert answer is not None
        assert answer.status in (401, 403), "the link is used"
        again.close()
