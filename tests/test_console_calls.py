"""Calls in the console: its API in both APIs of OpenAI, on a deployed stack; its pages without and with scripts."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from infra.local.console import served
from infra.local.emulator import Emulator
from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from tests.conftest import MakeStack
from tests.test_supervisor import BOTH, Call, Tools, deploy, tools  # noqa: F401
from tests.waiting import wait_until

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Api:
    """The console's API, signed in by a link."""

    def __init__(self, link: str) -> None:
        """Sign in."""
        base, _, token = link.partition("/console/enter?link=")
        self._base, self._token = base, None
        self._token = self.ask("/api/session", {"link": token})[1]["token"]

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> tuple[int, Json]:
        """Status and answer of a request: `GET` without a body."""
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, headers=headers, method=method)
        try:
            with _OPENER.open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def act(self, call: str, what: str, body: Any = None) -> tuple[int, Json]:
        """Ask something of a call; somebody answers it."""
        status, answer = self.ask(f"/api/calls/{call}/{what}", body, method="POST")
        assert answer.get("confirmed") or answer["reason"] != "unanswered", (what, answer)
        return status, answer


def active(call: Call) -> None:
    wait_until("the call is supervised", lambda: call.state() == "active")


@pytest.mark.parametrize("api", BOTH)
def test_a_call_is_controlled_through_the_api(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
    api: str,
) -> None:
    without_turns = {"audio": {"input": {"turn_detection": None}}} if api == "realtime" else None
    stack = deploy(make_stack, tools, api, {"greeting": "Welcome."}, without_turns)
    script = [{"await": "attach"}, {"caller": "Hello there"}, {"tool": {"name": "unlisted", "go_on": True}}]
    call = Call(stack, openai, api, {"script": script, "refer": "stays", "audio": False})
    active(call)
    with served(stack) as link:
        console = Api(link)
        _, listed = console.ask("/api/calls?state=open")
        assert [(it["id"], it["state"]) for it in listed["items"]] == [(call.id, "active")]
        assert call.id in [it["id"] for it in console.ask("/api/calls")[1]["items"]]

        def shown(role: str, query: str = "") -> Json | None:
            _, found = console.ask(f"/api/calls/{call.id}{query}")
            return found if any(line["role"] == role for line in found["transcript"]) else None

        wait_until("the tool waits", lambda: call.tools().get("unlisted"))
        if api == "realtime":
            assert console.act(call.id, "audio/commit")[0] == 200, "nobody else ends the caller's turn"
        whole = wait_until("the caller is heard", lambda: shown("caller"))
        assert "+14255550123" not in json.dumps(whole)

        said = (200, {"id": call.id, "asked": "message", "confirmed": True})
        assert console.act(call.id, "message", {"text": "My order is number 7."}) == said
        add = "response.item.create" if api == "live" else "conversation.item.create"
        assert "My order is number 7." in json.dumps(call.commands(add))
        assert console.act(call.id, "message", {"text": "Be quick.", "as": "say"})[0] == 200
        wait_until("it is said", lambda: "Be quick." in call.said())

        [tool] = whole["tools"]
        result = {"call_id": tool["call_id"], "output": '{"state": "sent"}'}
        assert console.act(call.id, "function-result", result)[0] == 200
        assert console.act(call.id, "function-result", result)[1]["reason"] == "refused"

        assert console.act(call.id, "update", {"instructions": "Speak slowly."})[0] == 200
        told = call.commands("session.instructions.append" if api == "live" else "session.update")
        assert "Speak slowly." in json.dumps(told)
        tool_list = [{"type": "function", "name": "other", "parameters": {"type": "object"}}]
        assert console.act(call.id, "update", {"tools": tool_list})[0] == 200
        assert '"other"' in json.dumps(call.commands("session.update"))
        status, refused = console.act(call.id, "update", {"voice": "cedar"})
        assert (status, refused["reason"]) == (409, "refused"), "Live keeps it; Realtime has spoken"

        known = {"audio/commit": "realtime", "audio/clear": "realtime", "mute": "live", "cancel": "realtime"}
        wait_until("nothing is said", lambda: not speaking(openai, call))
        call.play({"caller": "One two"}, {"model": " ".join(["word"] * 60)})
        if api == "realtime":
            wait_until("the model speaks", lambda: speaking(openai, call))
        for what, has in known.items():
            status, answer = console.act(call.id, what)
            assert status == (200 if has == api else 409), (what, answer)
        if api == "live":
            assert console.act(call.id, "mute", {"muted": False})[1]["asked"] == "unmute"
            assert call.commands("session.input_audio.unmute")

        cursor = console.ask(f"/api/calls/{call.id}")[1]["cursor"]
        call.play({"caller": "Later words"})
        if api == "realtime":
            wait_until("there is audio", lambda: console.act(call.id, "audio/commit")[0] == 200)
        later = wait_until("more is heard", lambda: shown("caller", f"?after={cursor.replace('#', '%23')}"))
        heard = [line["text"] for line in later["transcript"] if line["role"] == "caller"]
        assert "Hello" not in json.dumps(heard)
        assert "Later" in json.dumps(heard)

        assert console.act(call.id, "refer", {"target_uri": "https://example.com"})[0] == 400
        assert console.act(call.id, "refer", {"target_uri": "tel:+498005550111"})[0] == 200
        assert openai.call(call.id)["request"] == {"target_uri": "tel:+498005550111"}
        assert console.act(call.id, "hangup")[0] == 200
        call.ended()

        _, whole = console.ask(f"/api/calls/{call.id}")
        assert whole["state"] == "ended"
        asked = [(it["kind"], it["asked_by"], it["confirmed"]) for it in whole["asked"]]
        assert ("message", "oncall", True) in asked
        assert asked[-2:] == [("transfer", "oncall", True), ("hang_up", "oncall", True)]
        assert {who for _, who, _ in asked} == {"oncall"}
        assert "8005550111" not in json.dumps(call.items("control")), "who asked is kept, the number is masked"
        for what, body in {"message": {"text": "Anybody?"}, "hangup": None, "mute": None}.items():
            status, late = console.act(call.id, what, body)
            assert (status, late["reason"], late["last_state"]) == (404, "ended", "ended")
            assert late["call"]["reason"] == whole["reason"]
        assert console.ask("/api/calls?state=open")[1]["items"] == []


def speaking(openai: StandIn, call: Call) -> bool:
    """Whether a response is under way, in a Realtime session."""
    events = openai.call(call.id)["events"]
    return events.count("response.created") > events.count("response.done")


def test_a_change_reaches_all_calls_that_go_on(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
) -> None:
    stack = deploy(make_stack, tools, "live", {})
    plan = {"script": [{"await": "attach"}], "audio": False}
    calls = [Call(stack, openai, "live", plan) for _ in range(3)]
    deaf = Call(stack, openai, "live", {**plan, "ignore": ["session.instructions.append"]})
    over = Call(stack, openai, "live", {"script": [{"await": "attach"}, "hang_up"]})
    for call in [*calls, deaf]:
        active(call)
    over.ended()
    with served(stack) as link:
        console = Api(link)
        status, answer = console.ask("/api/calls/broadcast", {"instructions": "We close in ten minutes."})
        counts = {name: answer[name] for name in ("confirmed", "refused", "unanswered")}
        assert (status, counts) == (200, {"confirmed": 3, "refused": 1, "unanswered": 0}), answer
        assert {it["id"] for it in answer["calls"]} == {call.id for call in [*calls, deaf]}
        for call in calls:
            assert "We close in ten minutes." in json.dumps(call.commands("session.instructions.append"))
        assert console.ask("/api/calls/broadcast", {})[0] == 400


def test_sessions_that_begin_without_a_phone_call(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
) -> None:
    stack = deploy(make_stack, tools, "live", {"greeting": "Welcome."})
    session = {"model": "gpt-live-1", "delegation": {"type": "responses", "responses": {"model": "gpt-6-luna"}}}
    with served(stack) as link:
        console = Api(link)
        status, made = console.ask(
            "/api/calls", {"api": "live", "session": session, "transport": {"type": "webrtc", "sdp": "v=0"}}
        )
        assert (status, made["transport"]["type"]) == (201, "webrtc")
        assert made["transport"]["sdp"].startswith("v=0")
        state = lambda: console.ask(f"/api/calls/{made['id']}")[1].get("state")  # noqa: E731
        wait_until("it is supervised", lambda: state() == "active")
        assert console.act(made["id"], "message", {"text": "Hello from the page."})[0] == 200
        assert console.act(made["id"], "hangup")[0] == 200
        wait_until("it has ended", lambda: state() == "ended")

        status, secret = console.ask("/api/calls", {"api": "realtime", "session": {"model": "gpt-realtime-2.1"}})
        assert status == 201
        assert secret["client_secret"].startswith("ek_")
        assert secret["expires_at"] > time.time()


OUTBOUND = {
    "api": "live",
    "session": {"model": "gpt-live-1", "delegation": {"type": "responses", "responses": {"model": "gpt-6-luna"}}},
    "transport": {
        "type": "sip",
        "destination": "tel:+4930123456789",
        "trunk": {
            "provider_url": "sip:trunk.example.com",
            "auth": {"username": "stack", "password": "do-not-log-me"},
            "caller_number": "+4989987654321",
        },
    },
    "supervise": {"greeting": "This is Example.", "built_in": ["hang_up"]},
}


def test_a_call_that_openai_makes_is_greeted_once_somebody_answers(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
) -> None:
    stack = deploy(make_stack, tools, "live", {})
    with served(stack) as link:
        console = Api(link)
        status, refused = console.ask("/api/calls", OUTBOUND)
        assert (status, "not enabled" in refused["detail"]) == (424, True)

        openai.plan_next(outbound_sip=True, script=[{"transport": {"state": "ringing"}}], audio=False)
        status, made = console.ask("/api/calls", {**OUTBOUND, "key": "order-7"})
        assert status == 201, made
        assert console.ask("/api/calls", {**OUTBOUND, "key": "order-7"})[1]["reason"] == "asked_before"
        listed = lambda: console.ask(f"/api/calls/{made['id']}")[1]  # noqa: E731
        found = wait_until("it is supervised", lambda: (it := listed()).get("state") == "active" and it)
        assert found["facts"] | {"direction": "outbound", "asked_by": "oncall"} == found["facts"]
        assert "123456789" not in json.dumps(found)
        commands = lambda: json.dumps(openai.call(made["id"])["commands"])  # noqa: E731
        time.sleep(1)
        assert "This is Example." not in commands(), "nobody has answered yet"
        assert made["id"] in [it["id"] for it in console.ask("/api/calls")[1]["items"]]
        openai.play(made["id"], {"transport": {"state": "answered"}})
        wait_until("the greeting is said", lambda: "This is Example." in commands())
        openai.play(made["id"], {"tool": {"name": "hang_up", "go_on": True}})
        wait_until("it has ended", lambda: listed()["state"] == "ended")
        assert listed()["reason"] == "hung_up"

        openai.plan_next(outbound_sip=True, audio=False)
        _, made = console.ask("/api/calls", OUTBOUND)
        wait_until("it is supervised", lambda: listed().get("state") == "active")
        openai.play(made["id"], {"transport": {"state": "failed", "code": "busy"}})
        wait_until("it has ended", lambda: listed()["state"] == "ended")
        assert listed()["reason"] == "not_answered"
    secrets = ("do-not-log-me", "30123456789", "89987654321")
    assert not any(secret in line for secret in secrets for line in stack.logs("supervisor"))


def test_what_cannot_be_asked_is_refused_by_name(stack: Stack, openai: StandIn) -> None:
    live = {"api": "live", "session": {"model": "gpt-live-1"}}
    webrtc = {**live, "transport": {"type": "webrtc", "sdp": "v=0"}}
    unknown = "live_00000000"
    cases: list[tuple[str, Any, int, str]] = [
        ("/api/calls", {"api": "phone", "session": {}}, 400, "unusable_api"),
        ("/api/calls", live, 400, "unusable"),
        ("/api/calls", {**live, "transport": {"type": "smoke"}}, 400, "unusable"),
        ("/api/calls", {**webrtc, "supervise": {}}, 400, "unusable"),
        ("/api/calls", {**webrtc, "key": ""}, 400, "unusable_key"),
        ("/api/calls", {**webrtc, "session": {}}, 400, "unusable"),
        ("/api/calls", {**webrtc, "more": 1}, 422, "unusable_body"),
        ("/api/calls", {"api": "realtime", "session": {"model": "m"}, "transport": {}}, 400, "unusable"),
        (f"/api/calls/{unknown}/message", {"text": " "}, 400, "unusable_text"),
        (f"/api/calls/{unknown}/message", {"text": "x" * 2001}, 400, "unusable_text"),
        (f"/api/calls/{unknown}/message", {"text": "Hi", "as": "song"}, 422, "unusable_body"),
        (f"/api/calls/{unknown}/message", "Hi", 422, "unusable_body"),
        (f"/api/calls/{unknown}/update", {}, 400, "nothing_to_change"),
        (f"/api/calls/{unknown}/update", {"instructions": "x" * 140_000}, 400, "too_large"),
        (f"/api/calls/{unknown}/function-result", {"call_id": "", "output": "x"}, 400, "unusable_text"),
        (f"/api/calls/{unknown}/function-result", {"call_id": "c", "output": "x" * 40_000}, 400, "unusable_text"),
        (f"/api/calls/{unknown}/refer", {"target_uri": "tel:"}, 400, "unusable_target"),
        (f"/api/calls/{unknown}/message", {"text": "Hi"}, 404, "not_found"),
        (f"/api/calls/{unknown}/hangup", {}, 404, "not_found"),
        ("/api/calls/%2e%2e%2f/hangup", {}, 404, "not_found"),
    ]
    with served(stack) as link:
        console = Api(link)
        for path, body, status, reason in cases:
            found = console.ask(path, body)
            assert (found[0], found[1]["reason"]) == (status, reason), (path, str(body)[:80], found)
        assert console.ask(f"/api/calls/{unknown}")[0] == 404
        assert console.ask("/api/calls?state=loud")[1]["reason"] == "unusable_state"
        call = openai.call_in()["call"]["call_id"]
        wait_until("it is answered", lambda: stack.job("realtime", call))
        status, known = console.ask(f"/api/calls/{call}/message", {"text": "Hi"})
        assert (status, known["last_state"]) == (404, (stack.job("realtime", call) or {})["status"])


def test_a_call_is_steered_and_ended_without_scripts(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
    chromium: Browser,
) -> None:
    stack = deploy(make_stack, tools, "live", {})
    call = Call(stack, openai, "live", {"script": [{"await": "attach"}, {"caller": "Hello there"}], "audio": False})
    active(call)
    with served(stack) as link:
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(link)
        page.goto(link.partition("/enter?")[0] + "/calls")
        page.locator(f"a[title='{call.id}']").click()
        main = page.locator("main")
        expect(main).to_contain_text("active")
        page.get_by_label("Text").fill("One moment, please.")
        page.locator("select[name=do]").select_option("say")
        page.get_by_role("button", name="Send").click()
        expect(main).to_contain_text("Confirmed.")
        assert "One moment, please." in call.said()
        page.locator("summary", has_text="Mute").click()
        page.get_by_role("button", name="Mute", exact=True).click()
        expect(main).to_contain_text("Confirmed.")
        assert call.commands("session.input_audio.mute")
        page.locator("summary", has_text="Transfer").click()
        page.get_by_label("To: tel: or sip: URI").fill("https://example.com")
        page.get_by_role("button", name="Transfer the caller").click()
        expect(main).to_contain_text("Refused.")
        page.locator("summary", has_text="Hang up").click()
        page.get_by_role("button", name="Hang up").click()
        call.ended()
        page.reload()
        expect(main).to_contain_text("oncall")
        expect(main).to_contain_text("Hello there")
        assert page.get_by_role("button", name="Hang up").count() == 0
        context.close()


def test_a_form_that_is_filled_in_is_not_refreshed_away(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
    chromium: Browser,
) -> None:
    stack = deploy(make_stack, tools, "live", {})
    call = Call(stack, openai, "live", {"script": [{"await": "attach"}], "audio": False})
    active(call)
    with served(stack) as link:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(link)
        page.goto(f"{link.partition('/enter?')[0]}/calls/{call.id}")
        call.play({"caller": "Seen after a refresh"})
        expect(page.locator("main")).to_contain_text("Seen after a refresh", timeout=15_000)
        page.locator("summary", has_text="Transfer").click()
        page.get_by_label("To: tel: or sip: URI").fill("tel:+4930")
        page.locator("h1").click()
        call.play({"caller": "Not seen yet"})
        page.wait_for_timeout(6_000)
        expect(page.get_by_label("To: tel: or sip: URI")).to_have_value("tel:+4930")
        context.close()


def test_the_policy_is_tried_on_a_page(stack: Stack, chromium: Browser) -> None:
    rule = {
        "name": "Sales <b>",
        "when": [{"header": "From", "part": "user", "prefix": "+49"}],
        "then": {"reject": {"status_code": 486}},
    }
    accept = {"accept": {"session": {"model": "gpt-realtime-2.1"}}}
    with served(stack) as link:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(link)
        base = link.partition("/enter?")[0]
        main = page.locator("main")
        page.goto(f"{base}/calls/policy")
        expect(main).to_contain_text("No policy is stored")
        stack.set_call_policy(json.dumps({"answer_as": "realtime", "rules": [rule], "default": accept}))
        tries: list[tuple[str, Callable[[], object]]] = [
            ("Rules[0] rejects the call with 486", lambda: page.get_by_label("From: a number").fill("+4930123456")),
            ("Default accepts the call", lambda: page.get_by_label("From: a number").fill("+15550100")),
        ]
        page.goto(f"{base}/calls/policy")
        for expected, fill in tries:
            fill()
            page.get_by_role("button", name="Try").click()
            expect(page.locator("#decision")).to_contain_text(re.compile(re.escape(expected), re.IGNORECASE))
        expect(main).to_contain_text("Sales <b>")
        page.get_by_label("Other headers").fill("no header")
        page.get_by_role("button", name="Try").click()
        expect(main).to_contain_text("cannot be tried")
        context.close()


def test_the_document_has_every_operation_on_calls(stack: Stack, emulator: Emulator) -> None:
    with served(stack) as link:
        _, document = Api(link).ask("/api/openapi.json")
    found = {path.removeprefix("/api/calls") for path in document["paths"] if path.startswith("/api/calls")}
    acts = ["message", "update", "cancel", "function-result", "audio/commit", "audio/clear", "mute", "hangup", "refer"]
    assert found == {"", "/{id}", "/broadcast", *(f"/{{id}}/{act}" for act in acts)}
    assert set(document["paths"]["/api/calls"]) == {"get", "post"}
    assert emulator.endpoint_url
