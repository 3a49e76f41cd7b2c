"""The console behind the HTTP API: who comes in, as whom, and what is refused. The real template, the real binary."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.local.console import batch, play, requests
from infra.local.emulator import REGION
from infra.local.pictures import browser, pages
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.cli import Cli
from tests.conftest import MakeStack
from tests.front import Front
from tests.visitor import Page, Visitor
from tests.waiting import wait_until

COOKIE = "__Host-openai-webhooks-console"


def link(stack: Stack, *options: str, **environment: str) -> str:
    """A link for the stack's console, as the command line gives it."""
    asked = Cli(stack).run("console", "--deployed", "--no-browser", "--json", *options, **environment)
    assert asked.code == 0, asked.err
    return asked.json()["link"]


def come_in(stack: Stack, *options: str) -> Visitor:
    """Somebody who has opened a link."""
    visitor = Visitor(stack.base_url())
    entered = visitor.get(link(stack, *options))
    assert entered.status == 200, entered.text
    return visitor


def kept(stack: Stack, prefix: str) -> list[dict[str, Any]]:
    """Items of the console in the ledger."""
    return [item for item in stack.ledger() if item["pk"].startswith(f"console#{prefix}")]


def change(stack: Stack, item: dict[str, Any], name: str, value: dict[str, str]) -> None:
    """Change an attribute of an item, as time would."""
    stack.emulator.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def refusal(page: Page) -> tuple[int, str]:
    """What a refusal says."""
    return page.status, page.text


def test_a_link_signs_in_once_and_a_wrong_used_or_old_one_is_refused_alike(stack: Stack) -> None:
    first = link(stack)
    visitor = Visitor(stack.base_url())
    entered = visitor.get(first)

    assert entered.status == 200
    assert entered.headers["Refresh"] == "0; url=/console", "a page goes on, so that the browser sends the cookie"
    [cookie] = entered.headers.get_all("Set-Cookie") or []
    assert cookie.startswith(f"{COOKIE}=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    page = visitor.get("/console")
    assert page.status == 200
    assert stack.name in page.text
    assert "<bdi>root</bdi>, operator" in page.text, "the account's root user, whose keys the emulator takes by default"
    headers = page.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Strict-Transport-Security"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]

    old = link(stack)
    [unused] = [item for item in kept(stack, "link#") if "used" not in item]
    change(stack, unused, "valid_until", {"N": "1"})
    stranger = Visitor(stack.base_url())
    refused = [stranger.get(it) for it in (first, old, re.sub("link=.*", "link=" + "0" * 64, first), first[:-64])]
    assert {refusal(it) for it in refused} == {refusal(refused[0])}
    assert (refused[0].status, refused[0].reason()) == (401, "link_not_valid")
    assert stranger.get("/console").status == 401
    assert stranger.get("/api/dashboard").reason() == "not_signed_in"

    log = "\n".join(stack.logs("console"))
    assert '"signed in by link' in log or "signed in by link" in log
    secret = visitor.cookies[COOKIE]
    assert first[-64:] not in log
    assert secret not in log
    assert secret.split(".")[0] not in json.dumps(stack.ledger(), default=str), "the ledger has hashes alone"


def test_a_session_ends_by_time_by_signing_out_and_with_its_key(stack: Stack) -> None:
    over, out, keyless = come_in(stack), come_in(stack), come_in(stack)
    assert [it.get("/console/help").status for it in (over, out, keyless)] == [200, 200, 200]

    token = dict(out.cookies)
    assert out.act("/console/leave").status == 200
    assert not out.cookies[COOKIE]
    again = Visitor(stack.base_url(), token)
    assert again.get("/console/help").reason() == "not_signed_in", "a copy of the cookie is of no use either"
    assert again.get("/api/dashboard", Authorization=f"Bearer {token[COOKIE]}").status == 401

    for item in kept(stack, "session#"):
        change(stack, item, "valid_until", {"N": "1"})
    assert over.get("/console/help").reason() == "not_signed_in"
    fresh = come_in(stack)
    forged = fresh.cookies[COOKIE][:-1] + ("0" if fresh.cookies[COOKIE][-1] != "0" else "1")
    assert Visitor(stack.base_url(), {COOKIE: forged}).get("/console/help").status == 401
    [key] = kept(stack, "key")
    change(stack, key, "key", {"S": "1" * 64})
    stack.kill("console")
    # The emulator may give a first request to the process that was killed.
    wait_until("another key ends every session", lambda: fresh.get("/console/help").status == 401)


def test_a_viewer_looks_and_an_operator_acts_and_nobody_from_another_page(stack: Stack) -> None:
    viewer, operator = come_in(stack, "--read-only"), come_in(stack)
    assert viewer.get("/console/alerts").status == 200
    refused = viewer.act("/console/alerts/test")
    assert (refused.status, refused.reason()) == (403, "read_only")
    assert operator.act("/console/alerts/test").status == 200

    assert operator.post("/console/alerts/test").reason() == "no_csrf_token"
    other = viewer.csrf()
    assert operator.post("/console/alerts/test", {"csrf": other}).reason() == "no_csrf_token"
    form = {"csrf": operator.csrf()}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert operator.post("/console/alerts/test", form, Origin=origin).reason() == "foreign_origin"
    assert operator.post("/console/alerts/test", form, **{"Sec-Fetch-Site": "cross-site"}).reason() == "foreign_origin"

    lines = [line for line in stack.logs("console") if "console: " in line]
    for told in ("signed in by link", "acts", "may not act"):
        [line] = [line for line in lines if f"console: {told}" in line and "/leave" not in line][:1]
        assert '"who":"root"' in line
        assert '"from":"127.0.0.1"' in line
    assert form["csrf"] not in "\n".join(lines)


def test_a_program_signs_in_with_the_token_of_a_link(stack: Stack) -> None:
    program = Visitor(stack.base_url())
    token = link(stack, "--read-only").partition("link=")[2]
    session = program.post_json("/api/session", {"link": token})
    assert session.status == 200
    assert session.json()["role"] == "read-only"
    bearer = {"Authorization": f"Bearer {session.json()['token']}"}
    assert program.get("/api/dashboard", **bearer).json()["stack"] == stack.name
    assert program.post_json("/api/batches", {}, **bearer).reason() == "read_only"
    assert program.post_json("/api/session", {"link": token}).reason() == "link_not_valid"
    assert program.get("/api/openapi.json", **bearer).json()["openapi"].startswith("3.1")


def user(stack: Stack, name: str, alias: str) -> dict[str, str]:
    """A user who may invoke an alias of the console, by the environment with the keys."""
    iam, function = stack.emulator.client("iam"), stack.outputs["ConsoleFunctionName"]
    iam.create_user(UserName=f"{stack.name}-{name}")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": f"arn:aws:lambda:{REGION}:*:function:{function}:{alias}",
            },
        ],
    }
    iam.put_user_policy(UserName=f"{stack.name}-{name}", PolicyName=alias, PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=f"{stack.name}-{name}")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


def test_iam_tells_the_two_roles_apart(stack: Stack) -> None:
    function, keys = stack.outputs["ConsoleFunctionName"], user(stack, "ada", "viewer")

    visitor = Visitor(stack.base_url())
    assert visitor.get(link(stack, "--read-only", **keys, USER="root")).status == 200
    name = f"user/{stack.name}-ada"
    assert f"<bdi>{name}</bdi>, read-only" in visitor.get("/console/help").text, "the name is STS's"
    assert [line for line in stack.logs("console") if "signed in by link" in line and f'"who":"{name}"' in line]
    refused = Cli(stack).run("console", "--deployed", "--json", **keys)
    assert refused.code == 3
    assert "lambda:InvokeFunction" in refused.error()["hint"]
    assert f"{function}:operator" in refused.error()["hint"]


def proof(stack: Stack, keys: dict[str, str], alias: str, **changed: str) -> dict[str, str]:
    """What the command line proves with: a signature of `sts:GetCallerIdentity` for an alias."""
    account = stack.emulator.client("sts").get_caller_identity()["Account"]
    arn = f"arn:aws:lambda:{REGION}:{account}:function:{stack.outputs['ConsoleFunctionName']}:{alias}"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Host": f"127.0.0.1:{stack.emulator.port}",
        "X-OpenAI-Webhooks-Audience": arn,
    }
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("POST", f"{stack.emulator.endpoint_url}/", headers, body)
    signer = SigV4Auth(Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]), "sts", REGION)
    signer.add_auth(request)
    signature = request.headers["Authorization"].rpartition("Signature=")[2]
    made = {"access_key": keys["AWS_ACCESS_KEY_ID"], "date": request.headers["X-Amz-Date"], "signature": signature}
    return made | changed


def test_nobody_gets_a_link_under_the_name_of_another(stack: Stack) -> None:
    ada, eve = user(stack, "ada", "operator"), user(stack, "eve", "viewer")
    client = boto3.client(
        "lambda",
        endpoint_url=stack.emulator.endpoint_url,
        region_name=REGION,
        aws_access_key_id=eve["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=eve["AWS_SECRET_ACCESS_KEY"],
    )

    def ask(event: dict[str, Any]) -> Any:
        function = f"{stack.outputs['ConsoleFunctionName']}:viewer"
        return json.load(client.invoke(FunctionName=function, Payload=json.dumps(event))["Payload"])

    assert "link" in ask({"proof": proof(stack, eve, "viewer")})
    mine = proof(stack, eve, "viewer")
    for wrong in (
        # A signature of Ada's that was made for something else.
        proof(stack, ada, "operator"),
        # Ada's key with a signature of one's own.
        {**mine, "access_key": ada["AWS_ACCESS_KEY_ID"]},
        {**mine, "date": "20200101T000000Z"},
        {**mine, "signature": "0" * 64},
        {**mine, "signature": f"{mine['signature']}, SignedHeaders=host"},
    ):
        refused = ask({"proof": wrong})
        assert refused["errorType"] == "NoLink", wrong
        assert "STS did not accept the proof" in refused["errorMessage"]
    for event in ({"who": "ada"}, {"proof": mine, "who": "ada"}, {"proof": {**mine, "arn": "ada"}}, {}):
        assert ask(event)["errorType"] == "UnusableEvent", event
    assert {item["name"] for item in kept(stack, "link#")} == {f"user/{stack.name}-eve"}


def test_an_address_acts_so_often_and_no_more(stack: Stack) -> None:
    operator = come_in(stack)
    # A window of a minute that has just begun.
    wait_until("the minute is young", lambda: time.time() % 60 < 40)
    assert operator.act("/console/alerts/test").status == 200
    [tries] = kept(stack, "tries#write#")
    change(stack, tries, "tries", {"N": "239"})

    assert operator.act("/console/alerts/test").status == 200
    refused = operator.act("/console/alerts/test")
    assert (refused.status, refused.reason()) == (429, "too_many")
    assert "Nothing was done" in refused.text
    [sent] = [line for line in stack.logs("console") if "too many tries" in line]
    assert "Write" in sent
    again = operator.act("/console/alerts/test")
    assert again.status == 429, "and what was refused is remembered"
    assert int(kept(stack, "tries#write#")[0]["tries"]) == 240
    assert operator.get("/console/alerts").status == 200, "whoever may not act may still look"


def test_whoever_tries_too_often_waits(stack: Stack) -> None:
    stranger = Visitor(stack.base_url())
    tried = [stranger.get(f"/console/enter?link={number}") for number in range(32)]

    assert [it.status for it in tried].count(401) == 30
    assert tried[-1].reason() == "too_many"
    [tries] = kept(stack, "tries#sign-in#")
    assert int(tries["tries"]) == 30
    assert "127.0.0.1" not in json.dumps(tries, default=str)
    assert int(tries["expires_at"]) > 0


def test_a_stack_without_the_console_has_none(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False, EnableConsole="false")
    assert Visitor(stack.base_url()).get("/console").status == 404
    asked = Cli(stack).run("console", "--deployed", "--json")
    assert asked.code == 1
    assert "EnableConsole" in asked.error()["hint"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD"])
def test_hostile_requests_are_refused_and_fail_nothing(stack: Stack, method: str) -> None:
    stranger = Visitor(stack.base_url())
    paths = [
        "/console/%00",
        "/console/%2e%2e/%2f",
        "/console/%c3%28",
        "/api/%0d%0aX:1",
        "/console/enter?link=%00&link=[",
        "/console/assets/../enter",
        "/api/session",
        "/console/sign-in",
        "/console/signed-in?state=x&code=y",
    ]
    for path in paths:
        answer = stranger.ask(method, path, None, {"X-Odd": "\x7f", "Cookie": f"{COOKIE}=a.b; {COOKIE}="})
        assert 400 <= answer.status < 500, (method, path, answer.status)
    assert [line for line in stack.logs("console") if "panicked" in line] == []


# What the function may do ---------------------------------------------------------------------------------------------

UNREADABLE = ("AccessDenied", "not authorized", "AuthorizationError", "could not be read", "Your AWS identity needs")


def test_every_page_and_every_act_works_with_the_functions_role(stack: Stack, openai: StandIn) -> None:
    ids = play(stack, openai)
    operator = come_in(stack)
    for name, path in pages(ids).items():
        page = operator.get(f"/console{path}")
        assert page.status == (404 if name == "missing" else 200), (name, page.text[-2000:])
        assert [word for word in UNREADABLE if word in page.text] == [], name
    for path in ("dashboard", "events", "batches", "dead-letters", "expectations", "alerts", "objects/response"):
        answer = operator.get(f"/api/{path}")
        assert answer.status == 200, (path, answer.text)

    failed = f"project#{ids['failed']}"
    acts: list[tuple[str, dict[str, str]]] = [
        ("/console/act", {"action": "replay", "key": failed}),
        ("/console/alerts/test", {}),
        ("/console/alerts/subscribe", {"address": "ada@example.com"}),
        ("/console/consumers/file", {"run": "false"}),
        ("/console/batches/new", {"requests": requests(3)}),
    ]
    for path, form in acts:
        answer = operator.act(path, **form)
        assert answer.status in (200, 303), (path, answer.text[-2000:])
        assert [word for word in UNREADABLE if word in answer.text] == [], path
    session = Visitor(stack.base_url())
    token = session.post_json("/api/session", {"link": link(stack).partition("link=")[2]}).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    replayed = session.post_json("/api/replays", {"events": [failed], "dry_run": False}, **bearer)
    assert replayed.status == 200, replayed.text
    wait_until("it is completed", lambda: (stack.event(ids["failed"]) or {}).get("state") == "completed")
    lines = [json.loads(line) for line in requests(2).splitlines()]
    submitted = session.post_json("/api/batches", {"requests": lines, "metadata": {}}, **bearer)
    assert submitted.status == 201, submitted.text
    assert [line for line in stack.logs("console") if "AccessDenied" in line] == []


# In a browser, behind a domain of one's own ---------------------------------------------------------------------------


@pytest.fixture
def front() -> Iterator[Front]:
    """A domain before the stack."""
    with Front() as started:
        yield started


def test_in_a_browser_behind_another_domain_a_link_becomes_a_session(
    make_stack: MakeStack, openai: StandIn, front: Front
) -> None:
    stack = make_stack(WebhookBaseUrl=front.url)
    front.stack = stack
    under_way = batch(openai, 100, 45)
    with browser() as chromium:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(link(stack))
        page.wait_for_url(f"{front.url}/console")
        assert stack.name in page.locator("header").inner_text()
        page.goto(f"{front.url}/console/batches/{under_way}")
        assert "45/100 complete" in page.locator("main").inner_text()
        page.goto(f"{front.url}/console/alerts")
        page.get_by_role("button", name=re.compile("test", re.IGNORECASE)).first.click()
        assert "A test is sent to the topic" in page.locator("main").inner_text()
        page.get_by_role("button", name="Sign out").click()
        assert "signed out" in page.locator("main").inner_text()
        answer = page.goto(f"{front.url}/console")
        assert answer is not None
        assert answer.status == 401
        context.close()
