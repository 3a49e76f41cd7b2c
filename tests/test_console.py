"""The console in a browser, as a person looks at it: on a stack with something of everything."""

import http.client
import json
import re
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from infra.local.console import served
from infra.local.pictures import pages
from infra.local.proxy import Proxy, Request, Treatment
from tests.consoles import Opened, person, serious, too_wide

HOSTILE = '<img src=x onerror="hacked=1"><script>hacked=1</script>\u202egnp.exe\u202c\x1b[2J\x07"\'&amp;'
"""Tags, a turn of the direction, control characters, quotes."""


def test_every_page_is_shown_in_full_on_a_desk_and_a_phone(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, viewport={"width": 1280, "height": 900}) as page:
        for name, path in pages(console.ids).items():
            answer = page.goto(console.base + path)
            assert answer is not None
            assert answer.status == (404 if name == "missing" else 200), name
            assert page.locator(".say.warn", has_text="cannot be shown").all_inner_texts() == [], name
            assert serious(page) == [], name
            assert too_wide(page) == [], f"{name} on a desk"
            page.emulate_media(color_scheme="dark")
            assert serious(page, runOnly=["color-contrast"]) == [], f"{name} in the dark"
            page.set_viewport_size({"width": 360, "height": 740})
            assert too_wide(page) == [], f"{name} on a phone"
            page.set_viewport_size({"width": 1280, "height": 900})
            page.emulate_media(color_scheme="light")


def test_every_page_is_read_without_a_script(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, java_script_enabled=False) as page:
        for name, path in pages(console.ids).items():
            page.goto(console.base + path)
            assert page.locator("main").inner_text().strip(), name
        page.goto(f"{console.base}/events?state=failed")
        page.locator("input[name=key]").first.check()
        page.get_by_role("button", name="Replay the marked").click()
        expect(page.locator("main")).to_contain_text("1 event would be handled again.")


def test_a_click_includes_or_excludes_and_keeps_the_other_filters(console: Opened, chromium: Browser) -> None:
    with person(chromium, console) as page:
        page.goto(f"{console.base}/events?since=7d&not.category=realtime")
        page.get_by_role("link", name="Only State failed").click()
        assert page.url.endswith("?since=7d&not.category=realtime&state=failed")
        rows = page.locator("tbody tr")
        expect(page.locator("main .heading").first).to_contain_text(f"{rows.count()} match")
        page.locator(".chip", has_text="state").get_by_title("Turn into its opposite").click()
        assert page.url.endswith("?since=7d&not.category=realtime&not.state=failed")
        page.get_by_role("link", name="Remove category is not realtime").click()
        assert page.url.endswith("?since=7d&not.state=failed")
        page.get_by_text("Add a filter…").click()
        page.get_by_placeholder("metadata NAME=VALUE").fill("alias=support")
        page.get_by_role("button", name="Apply").click()
        assert page.url.endswith("metadata=alias%3Dsupport")
        expect(page.locator("main tbody")).to_contain_text("fine_tuning.job.succeeded")
        assert page.locator("main tbody tr").count() == 1
        assert "metadata=alias%3Dsupport" in page.url
        assert "state=failed" in page.url


def test_a_view_is_saved_for_the_team_and_removed(console: Opened, chromium: Browser) -> None:
    with person(chromium, console) as page:
        page.goto(f"{console.base}/events?category=batch")
        page.get_by_label("Save this view as").fill("Batches <b>")
        page.get_by_role("button", name="Save").click()
        page.goto(f"{console.base}/events")
        page.get_by_role("navigation", name="Views").get_by_role("link", name="Batches <b>").click()
        assert page.url.endswith("/events?category=batch")
        page.get_by_role("button", name="Remove it").click()
        expect(page.get_by_role("navigation", name="Views")).not_to_contain_text("Batches <b>")


def test_one_event_tells_all_that_is_known(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, accept_downloads=True) as page:
        page.goto(f"{console.base}/events/project/{quote(console.ids['event'])}")
        main = page.locator("main")
        for known in ("signature verified", "queued in SQS", "1 artifact to S3, recorded", "outcome to EventBridge"):
            expect(main).to_contain_text(known)
        expect(page.get_by_label("Log lines")).to_contain_text("INFO  event handled")
        expect(main).to_contain_text(f"logs response --event {console.ids['event']}")
        with page.expect_download() as downloading:
            page.get_by_role("link", name="Download").first.click()
        link = downloading.value
        assert "X-Amz-Expires=300" in link.url
        assert json.loads(link.path().read_text())["id"] == console.ids["response"]
        page.goto(f"{console.base}/events/project/{quote(console.ids['failed'])}")
        expect(main).to_contain_text("Given up: unauthorized.")
        expect(main).to_contain_text("dead letter, alert")


def test_the_keyboard_alone_leads_through_the_pages_and_to_a_replay(console: Opened, chromium: Browser) -> None:
    with person(chromium, console) as page:
        page.goto(f"{console.base}/events?state=failed")
        current = page.locator("tbody tr[aria-current]")
        page.keyboard.press("j")
        first = current.inner_text()
        page.keyboard.press("j")
        assert current.inner_text() != first
        page.keyboard.press("k")
        assert current.inner_text() == first
        page.keyboard.press("x")
        assert page.locator("input[name=key]:checked").count() == 1
        page.keyboard.press("r")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Replay, dry run")
        page.go_back()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/events/project/**")
        page.keyboard.press("/")
        page.keyboard.type(console.ids["failed"])
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{console.ids['failed']}")
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.wait_for_url("**/batches")
        page.keyboard.press("?")
        page.wait_for_url("**/help")
        page.get_by_role("button", name="Turn keys off").click()
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.wait_for_timeout(200)
        assert page.url.endswith("/help"), "they are off"
        page.goto(f"{console.base}/events")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.matches(':focus-visible')")


def _seconds_of_zone(page: Page) -> str:
    return page.locator("main time[data-as=full]").first.inner_text()


def test_times_are_in_the_readers_zone_and_exact_on_hover(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, timezone_id="Asia/Tokyo") as page:
        page.goto(f"{console.base}/events/project/{quote(console.ids['event'])}")
        assert _seconds_of_zone(page).endswith("Asia/Tokyo")
        title = page.locator("main time[data-as=full]").first.get_attribute("title") or ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC", title)
    with person(chromium, console, java_script_enabled=False) as page:
        page.goto(f"{console.base}/events/project/{quote(console.ids['event'])}")
        assert _seconds_of_zone(page).endswith("UTC")


def test_what_runs_is_refreshed_while_somebody_looks_and_keeps_its_times(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, timezone_id="Asia/Tokyo") as page:
        page.goto(f"{console.base}/events")
        zone = page.locator("[data-zone]").first
        expect(zone).to_have_text("Asia/Tokyo")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        hide = "state => { Object.defineProperty(document, 'visibilityState', {get: () => state, configurable: true}) }"
        every = "document.querySelector('main').dataset.every = 1"
        page.evaluate(hide, "hidden")
        page.evaluate(every)
        page.wait_for_timeout(2500)
        assert asked == []
        page.evaluate(hide, "visible")
        with page.expect_response("**/console/events"):
            pass
        expect(zone).to_have_text("Asia/Tokyo")
        assert page.locator(".copy[hidden]").count() == 0


def test_nothing_moves_for_those_who_want_no_motion(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, reduced_motion="reduce") as page:
        for path in ("", f"/batches/{console.ids['under_way']}"):
            page.goto(console.base + path)
            assert page.evaluate("document.getAnimations().length") == 0


def test_an_event_is_printed_without_controls_and_with_its_whole_body(console: Opened, chromium: Browser) -> None:
    with person(chromium, console, color_scheme="dark") as page:
        page.goto(f"{console.base}/events/project/{quote(console.ids['failed'])}")
        page.emulate_media(media="print")
        for hidden in (".top", "#navigation", "main form", ".copy"):
            assert page.locator(hidden).first.is_hidden(), hidden
        assert page.locator("pre").first.evaluate("it => getComputedStyle(it).maxHeight") == "none"
        light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert light == "rgb(255, 255, 255)"
        expect(page.locator("main")).to_contain_text("Given up: unauthorized.")


def _hostile(console: Opened) -> None:
    """An event and an object whose every text is hostile, as if all else had let it through."""
    dynamodb, table = console.stack.emulator.client("dynamodb"), console.stack.outputs["TableName"]
    [event] = [one for one in console.stack.ledger("event") if one["webhook_id" if "webhook_id" in one else "pk"]][:1]
    stored = dynamodb.get_item(TableName=table, Key={"pk": {"S": event["pk"]}, "sk": {"S": "event"}})["Item"]
    long = "batch_" + "x" * 10_000
    attempt = {"source": {"S": HOSTILE}, "begun": stored["received_at"], "ended": stored["received_at"]}
    attempt |= {
        "result": {"S": HOSTILE},
        "reason": {"S": HOSTILE},
        "message": {"S": HOSTILE},
        "asked_by": {"S": HOSTILE},
    }
    texts = dict.fromkeys(("event_type", "event_id", "source", "reason", "message", "result", "note", "body"), HOSTILE)
    item = {
        **stored,
        **{name: {"S": value} for name, value in texts.items()},
        "pk": {"S": "event#project#wh_hostile"},
        "object_id": {"S": long},
        "state": {"S": "failed"},
        "attempts": {"L": [{"M": attempt}]},
        "artifacts": {"L": [{"S": f"archive/{HOSTILE}"}]},
    }
    dynamodb.put_item(TableName=table, Item=item)
    for category, object_id in (("response", f"resp_{HOSTILE}"), ("batch", "batch_hostile")):
        summary = dict.fromkeys(("model", "endpoint", "disagreement", HOSTILE), HOSTILE)
        job = {
            "pk": f"job#{category}#{object_id}",
            "sk": "job",
            "status": HOSTILE,
            "error": HOSTILE,
            "context": HOSTILE,
            "waiting": category,
            "category": category,
            "object_id": object_id,
        }
        dynamodb.put_item(
            TableName=table,
            Item={
                **{name: {"S": value} for name, value in job.items()},
                "due_at": {"N": "1"},
                "terminal": {"N": "1"},
                "summary": {
                    "M": {name: {"S": value} for name, value in summary.items()}
                    | {"error_codes": {"M": {HOSTILE: {"N": "3"}}}}
                },
                "counts": {"M": {HOSTILE: {"N": "7"}}},
                "artifacts": {"L": [{"S": f"{category}/{HOSTILE}.json"}]},
            },
        )


def test_hostile_text_stays_text_on_every_page(console: Opened, chromium: Browser) -> None:
    _hostile(console)
    paths = [
        "",
        "/events?state=failed",
        f"/events?object={quote('batch_' + 'x' * 500)}",
        f"/events?reason={quote(HOSTILE, safe='')}&not.type={quote(HOSTILE, safe='')}",
        "/events/project/wh_hostile",
        "/objects/response",
        f"/objects/response/{quote('resp_' + HOSTILE, safe='')}",
        "/batches/batch_hostile",
        f"/batches/batch_hostile?custom_id={quote(HOSTILE, safe='')}",
        "/expectations",
        f"/dead-letters?reason={quote(HOSTILE, safe='')}",
        f"/find?q={quote(HOSTILE, safe='')}",
        f"/events/project/{quote(HOSTILE, safe='')}",
        f"/objects/{quote(HOSTILE, safe='')}/x",
        f"/jobs/{quote(HOSTILE, safe='')}",
    ]
    with person(chromium, console, viewport={"width": 390, "height": 844}) as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for path in paths:
            answer = page.goto(console.base + path)
            assert answer is not None
            assert answer.status < 500, path
            assert page.evaluate("[typeof hacked, document.querySelectorAll('main img, main script').length]") == [
                "undefined",
                0,
            ], path
            assert too_wide(page) == [], path
            assert "\u202e" not in page.locator("pre").all_inner_texts(), path
        page.goto(f"{console.base}/batches/new")
        page.fill("#requests", HOSTILE)
        page.get_by_role("button", name="Check every line").click()
        expect(page.locator("main")).to_contain_text("nothing was sent")
        page.goto(f"{console.base}/events?category=batch")
        page.get_by_label("Save this view as").fill(HOSTILE)
        page.get_by_role("button", name="Save").click()
        expect(page.locator("main")).to_contain_text("name of a view")
        assert page.evaluate("typeof hacked") == "undefined"


class Refusing(Proxy):
    """Refuses what somebody with few permissions may not."""

    def treat(self, request: Request) -> Treatment:
        """Refuse all but CloudFormation and the ledger."""
        if request.operation.startswith("DynamoDB") or b"DescribeStacks" in request.body:
            return Treatment()
        error = b'{"__type": "AccessDeniedException", "message": "not authorized to perform this"}'
        xml = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        return Treatment(answer=(403, error if request.operation else xml))


def test_a_part_that_may_not_be_read_says_so_and_the_rest_stays(console: Opened, chromium: Browser) -> None:
    with (
        Refusing(console.stack) as refusing,
        served(console.stack, AWS_ENDPOINT_URL=refusing.url, OPENAI_API_KEY="sk-local") as link,
    ):
        context = chromium.new_context()
        page = context.new_page()
        page.goto(link)
        main = page.locator("main")
        expect(main).to_contain_text("The subscribers cannot be shown.")
        expect(main).to_contain_text("Your AWS identity needs sns:ListSubscriptionsByTopic")
        expect(main).to_contain_text("Events by category")
        assert serious(page) == []
        page.goto(f"{link.partition('/enter?')[0]}/alerts")
        expect(main).to_contain_text("The alarms cannot be shown.")
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


def test_nobody_comes_in_by_another_way(console: Opened, chromium: Browser) -> None:
    with served(console.stack) as link:
        base = link.partition("/enter?")[0]
        path = urlsplit(base).path
        assert ask(base, path) in (401, 403)
        assert ask(base, "/api/dashboard") == 401
        assert ask(base, path, Host="evil.example") in (403, 421)
        context = chromium.new_context()
        page = context.new_page()
        page.goto(link)
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


def test_a_reader_sees_what_can_be_done_and_cannot_do_it(console: Opened, chromium: Browser) -> None:
    with served(console.stack, "--read-only") as link:
        base = link.partition("/enter?")[0]
        context = chromium.new_context()
        page = context.new_page()
        page.goto(link)
        for path in ("/dead-letters", "/alerts", "/endpoints", "/batches/new"):
            page.goto(base + path)
            assert page.locator("main button.button:not([disabled]):not(#keys)").all_inner_texts() == [], path
            expect(page.locator("main")).to_contain_text("Read-only: this is for operators.")
        token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
        answer = context.request.post(f"{base}/alerts/test", form={"csrf": token})
        assert answer.status == 403
        context.close()
