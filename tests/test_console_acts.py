"""What people do in the console, in a browser and by its API, and what comes of it."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from infra.local.console import requests
from tests.consoles import Opened, person
from tests.waiting import wait_until


class Api:
    """The API, as a page of the console calls it."""

    def __init__(self, console: Opened, chromium: Browser) -> None:
        """Take the session of the console."""
        self._context = chromium.new_context(storage_state=console.cookies)
        page = self._context.new_page()
        page.goto(console.base)
        self._token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
        self._root = console.root

    def get(self, path: str) -> Any:
        """Answer to GET."""
        answer = self._context.request.get(f"{self._root}/api{path}")
        assert answer.ok, answer.text()
        return answer.json()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and answer of a POST."""
        answer = self._context.request.post(f"{self._root}/api{path}", data=body, headers={"X-Csrf-Token": self._token})
        return answer.status, answer.json() if answer.body() else None


@pytest.fixture
def api(console: Opened, chromium: Browser) -> Api:
    """The API of the console."""
    return Api(console, chromium)


def _lines(count: int) -> list[dict[str, Any]]:
    body = {"model": "gpt-6-luna", "input": "Hello"}
    return [
        {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/responses", "body": body}
        for number in range(1, count + 1)
    ]


def _rung(console: Opened) -> int:
    """How often something about batches rang, what waits because its kind rang minutes ago included."""
    waiting = [int(item.get("count", 0)) for item in console.stack.ledger("alerts")]
    return sum(waiting) + sum(alert.attributes.get("category") == "batch" for alert in console.watch.alerts())


def test_ten_requests_are_submitted_followed_and_told_of(console: Opened, chromium: Browser, api: Api) -> None:
    openai, before = console.openai, api.get("/dashboard")["batches"]
    status, refused = api.post("/batches", {"requests": [*_lines(1), {"custom_id": "x"}]})
    assert (status, refused["reason"]) == (400, "faulty_lines")
    made = []
    for _ in range(3):
        status, batch = api.post("/batches", {"requests": _lines(10), "metadata": {"team": "ops"}})
        assert (status, batch["status"]) == (201, "validating")
        made.append(batch["id"])
    first, failing, expiring = made
    openai.advance(first, "in_progress", request_counts={"total": 10, "completed": 4, "failed": 0})
    assert api.get(f"/batches/{first}")["progress"] == "4/10 complete"
    assert api.get(f"/batches/{console.ids['under_way']}")["progress"] == "45/100 complete"
    with person(chromium, console) as page:
        page.goto(f"{console.base}/batches/{first}")
        expect(page.locator("main")).to_contain_text("4/10 complete")
        page.goto(f"{console.base}/batches")
        expect(page.locator("main")).to_contain_text("45/100 complete")
    batches = api.get("/dashboard")["batches"]
    assert batches["total"] == before["total"] + 3
    assert batches["by_state"]["validating"] == before["by_state"].get("validating", 0) + 2
    assert set(made) <= {batch["id"] for batch in batches["latest"]}

    rung = _rung(console)
    openai.advance(first, "completed", plan={"default": 200})
    openai.advance(failing, "failed", errors=[{"code": "invalid_json_line", "message": "no JSON", "line": 1}])
    openai.advance(expiring, "in_progress")
    openai.advance(expiring, "expired", plan={"default": "batch_expired", "lines": {"request-1": 200}})
    for batch_id, state in ((first, "completed"), (failing, "failed"), (expiring, "expired")):
        wait_until(f"it is {state}", lambda one=batch_id: (console.stack.job("batch", one) or {}).get("terminal"))
        found = api.get(f"/batches/{batch_id}")
        assert (found["status"], found["ended"]) == (state, True)
        told = [one.detail["object_id"] for one in console.watch.outcomes(f"batch.{state}")]
        assert batch_id in told, "the outcome is on the bus"
    assert api.get(f"/batches/{first}")["progress"] == "10/10 complete"
    wait_until("people are told of two, now or with others of the kind", lambda: _rung(console) == rung + 2)
    assert not any(first in alert.message for alert in console.watch.alerts()), "success wakes nobody"
    requests_now = api.get("/dashboard")["batches"]["requests"]
    assert requests_now["total"] >= requests_now["completed"] + requests_now["failed"] > 0


def test_a_form_with_faults_names_the_lines_and_one_without_is_submitted_once(
    console: Opened, chromium: Browser
) -> None:
    batches = console.openai.sdk().batches
    before = len(batches.list(limit=100).data)
    with person(chromium, console) as page:
        page.goto(f"{console.base}/batches/new")
        page.fill("#requests", requests(3) + "not JSON\n")
        page.get_by_role("button", name="Check every line").click()
        expect(page.locator("main")).to_contain_text("1 fault; nothing was sent.")
        expect(page.locator("main td.number").first).to_have_text("4")
        page.fill("#requests", requests(10))
        page.get_by_label("Metadata").fill("team=ops")
        page.get_by_role("button", name="Check every line").click()
        assert len(batches.list(limit=100).data) == before, "nothing is sent yet"
        names = ("csrf", "once", "metadata", "requests")
        fields = {name: page.locator(f"form[action$=submit] [name={name}]").input_value() for name in names}
        page.get_by_role("button", name=re.compile("^Submit")).click()
        page.wait_for_url("**/batches/batch_*")
        made = batches.list(limit=100).data
        assert (len(made), made[0].metadata) == (before + 1, {"team": "ops"})
        again = page.request.post(f"{console.base}/batches/submit", form=fields)
        assert (again.status, "not submitted twice" in again.text()) == (400, True)
        assert len(batches.list(limit=100).data) == before + 1
        page.goto(f"{console.base}/batches/{made[0].id}")
        page.get_by_text("Cancel", exact=True).click()
        page.get_by_role("button", name="Cancel the batch").click()
        wait_until("it is cancelling", lambda: batches.retrieve(made[0].id).status in ("cancelling", "cancelled"))


def test_failed_lines_are_submitted_again_once(console: Opened, chromium: Browser, api: Api) -> None:
    batch, batches = console.ids["batch"], console.openai.sdk().batches
    with person(chromium, console) as page:
        page.goto(f"{console.base}/batches/{batch}")
        main = page.locator("main")
        expect(main).to_contain_text("Rate limit reached")
        expect(main).to_contain_text("$0.02")
        page.get_by_role("button", name="Retry the marked").click()
        expect(main).to_contain_text("69 requests of 1,000 would be submitted again")
        newest = batches.list(limit=1).data[0].id
        page.get_by_role("button", name="Submit 69 requests").click()
        page.wait_for_url("**/batches/batch_*")
    made = batches.list(limit=1).data[0]
    assert made.id != newest
    assert (made.metadata or {})["openai_webhooks_retry_of"] == batch
    assert console.stack.job("batch", made.id), "its end is expected"
    status, refused = api.post(f"/batches/{batch}/retry", {"dry_run": True})
    assert status == 404, "the retry is under way"
    assert made.id in refused["detail"]


def _fail(console: Opened, count: int) -> list[str]:
    """Webhook ids of responses that fail for want of a permission."""
    failed = []
    console.openai.fault("GET /v1/responses/{id}", "status", status=401)
    for number in range(count):
        made = console.openai.sdk().responses.create(model="gpt-6-luna", input=f"{number}", background=True)
        failed.append(console.openai.finish_response(made.id, text="Kept at last.")["deliveries"][0]["webhook_id"])
    wait_until(
        "they have failed", lambda: all((console.stack.event(one) or {}).get("state") == "failed" for one in failed)
    )
    console.openai.clear_faults()
    return failed


def _completed(console: Opened, webhook_ids: list[str]) -> bool:
    return all((console.stack.event(one) or {}).get("state") == "completed" for one in webhook_ids)


def test_one_the_marked_and_all_that_match_are_replayed_by_named_jobs(console: Opened, chromium: Browser) -> None:
    one, *marked = _fail(console, 3)
    with person(chromium, console) as page:
        page.goto(f"{console.base}/events/project/{quote(one)}")
        page.get_by_role("button", name="Replay…").click()
        assert (console.stack.event(one) or {})["state"] == "failed", "the first page is a dry run"
        page.get_by_role("button", name="Replay 1 event").click()
        expect(page.locator("main")).to_contain_text("1/1 events sent again")
        wait_until("it is completed", lambda: _completed(console, [one]))

        page.goto(f"{console.base}/events?state=failed")
        for webhook_id in marked:
            page.get_by_label(f"Mark {webhook_id}").check()
        page.get_by_role("button", name="Replay the marked").click()
        page.get_by_role("button", name="Replay 2 events").click()
        expect(page.locator("main")).to_contain_text("2/2 events sent again")
        wait_until("they are completed", lambda: _completed(console, marked))

        played = [item["pk"].rpartition("#")[2] for item in console.stack.ledger("event") if item["state"] == "failed"]
        page.goto(f"{console.base}/events?category=response&state=failed")
        page.get_by_role("button", name="Replay all that match").click()
        expect(page.locator("main")).to_contain_text(f"{len(played)} events would be handled again.")
        page.get_by_role("button", name=f"Replay {len(played)} events").click()
        expect(page.locator("main")).to_contain_text(f"{len(played)}/{len(played)} events sent again")
        wait_until("all are completed", lambda: _completed(console, played))
        page.goto(f"{console.base}/jobs")
        assert page.locator("tbody tr").count() >= 3


def test_a_job_that_is_stopped_goes_on_when_it_is_asked_to(console: Opened, chromium: Browser, api: Api) -> None:
    events = [item["pk"].removeprefix("event#") for item in console.stack.ledger("event")][:3]
    name = "stopped-once"
    now = 1_700_000_000_000
    dynamodb, table = console.stack.emulator.client("dynamodb"), console.stack.outputs["TableName"]
    for place, key in enumerate(events):
        step = {"pk": f"operation#{name}", "sk": f"step#{key}", "state": "open"}
        numbers = {"place": place, "expires_at": 4_000_000_000}
        item = {field: {"S": value} for field, value in step.items()}
        dynamodb.put_item(TableName=table, Item=item | {one: {"N": str(value)} for one, value in numbers.items()})
    job = {"pk": f"operation#{name}", "sk": "operation", "kind": "replay", "filter": "{}", "waiting": "operation"}
    numbers = {"total": 3, "sent": 0, "left_out": 0, "done": 0, "created": now, "updated": now}
    numbers |= {"due_at": now // 1000, "expires_at": 4_000_000_000}
    item = {field: {"S": value} for field, value in job.items()}
    dynamodb.put_item(TableName=table, Item=item | {one: {"N": str(value)} for one, value in numbers.items()})
    with person(chromium, console) as page:
        page.goto(f"{console.base}/jobs/{name}?run=1")
        expect(page.locator("main")).to_contain_text("Nobody works on it here.")
        page.wait_for_timeout(800)
        assert api.get(f"/jobs/{name}")["sent"] == 0, "an old address begins nothing"
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("main")).to_contain_text("3/3 events sent again")
    found = api.get(f"/jobs/{name}")
    assert (found["done"], found["sent"], found["open"]) == (True, 3, 0)


def test_dead_letters_are_redriven_and_purged_by_mark(console: Opened, chromium: Browser, api: Api) -> None:
    again, gone = _fail(console, 2)
    letters = {one["webhook_id"]: one for one in api.get("/dead-letters?category=response")["items"]}
    assert {again, gone} <= set(letters)
    with person(chromium, console) as page:
        page.goto(f"{console.base}/dead-letters")
        page.get_by_label(f"Mark {letters[again]['id']}").check()
        page.get_by_role("button", name="Redrive the marked").click()
        expect(page.locator("main")).to_contain_text("1 dead letter would be handled again.")
        page.get_by_role("button", name="Redrive 1").click()
        expect(page.locator("main")).to_contain_text("1/1 dead letters sent again")
        wait_until("it is completed", lambda: _completed(console, [again]))
        page.goto(f"{console.base}/dead-letters")
        page.get_by_label(f"Mark {letters[gone]['id']}").check()
        page.get_by_role("button", name="Purge the marked").click()
        expect(page.locator("main")).to_contain_text("1 dead letter would be deleted.")
        page.get_by_role("button", name="Purge 1").click()
        expect(page.locator("main")).to_contain_text("1 dead letter deleted.")
    assert gone not in {one["webhook_id"] for one in api.get("/dead-letters?category=response")["items"]}


def test_a_category_is_paused_and_resumed(console: Opened, chromium: Browser, api: Api) -> None:
    def running() -> bool:
        return next(one["running"] for one in api.get("/consumers")["items"] if one["category"] == "file")

    with person(chromium, console) as page:
        for name, expected in (("Pause", False), ("Resume", True)):
            page.goto(f"{console.base}/endpoints")
            row = page.locator("#consumers tr", has=page.get_by_role("rowheader", name="file", exact=True))
            row.get_by_role("button", name=name).click()
            page.wait_for_url("**/endpoints#consumers")
            wait_until(f"it is {name}d", lambda expected=expected: running() == expected)


def test_a_model_is_rolled_back(console: Opened, chromium: Browser, api: Api) -> None:
    [model] = api.get("/models")["items"]
    assert (model["alias"], len(model["history"])) == ("support", 3)
    earlier = model["history"][1]["model"]
    with person(chromium, console) as page:
        page.goto(f"{console.base}/objects/fine-tuning")
        page.get_by_text("Roll back…").click()
        page.get_by_role("button", name="Roll back to it").click()
        expect(page.locator("main")).to_contain_text("4 versions")
    [model] = api.get("/models")["items"]
    assert model["history"][0]["model"] == earlier
    assert "by oncall" in model["history"][0]["description"]


def test_somebody_is_subscribed_and_a_test_is_sent(console: Opened, chromium: Browser) -> None:
    told = len(console.watch.alerts())
    with person(chromium, console) as page:
        page.goto(f"{console.base}/alerts")
        page.get_by_label("E-mail address or https URL").fill("nobody")
        page.get_by_role("button", name="Subscribe").click()
        expect(page.locator("main")).to_contain_text("neither an e-mail address nor an https URL")
        page.goto(f"{console.base}/alerts")
        page.get_by_label("E-mail address or https URL").fill("oncall@example.com")
        page.locator("select[name=severity]").first.select_option("critical")
        page.get_by_role("button", name="Subscribe").click()
        expect(page.locator("main")).to_contain_text("oncall@example.com")
        page.get_by_role("button", name="Send a test alert").click()
        expect(page.locator("main")).to_contain_text("A test is sent to the topic")
    wait_until("it came", lambda: len(console.watch.alerts()) == told + 1)
    assert console.watch.alerts()[-1].attributes["category"] == "test"


def test_a_secret_is_rotated_and_an_endpoint_tested(console: Opened, chromium: Browser) -> None:
    secrets = console.stack.emulator.client("secretsmanager")
    secret_id = console.stack.secret_id("project")
    before = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
    with person(chromium, console) as page:
        page.goto(f"{console.base}/endpoints")
        page.get_by_text("Rotate…").click()
        page.get_by_role("button", name="Rotate the secret").click()
        expect(page.locator("main")).to_contain_text("The endpoint project has a new signing secret.")
        assert secrets.get_secret_value(SecretId=secret_id)["SecretString"] != before
        assert secrets.get_secret_value(SecretId=secret_id, VersionStage="AWSPREVIOUS")["SecretString"] == before
        page.get_by_role("button", name="Test").first.click()
        expect(page.locator("main")).to_contain_text("OpenAI delivered a sample")
