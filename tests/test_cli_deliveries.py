"""`sign`, `send` and `verify`: deliveries made, and deliveries explained."""

import hashlib
import hmac
import json
import shlex
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from infra.local.emulator import Emulator
from infra.local.stack import Stack, new_signing_secret, unhandled
from tests import deliveries
from tests.cli import Cli
from tests.conftest import MakeStack
from tests.waiting import wait_until

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
AT = 1_750_861_210
BODY = json.dumps({"id": "evt_1", "type": "response.completed", "created_at": AT, "data": {"id": "resp_1"}}).encode()
HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"]


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with the secret that the tests sign with, as an editor leaves it."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.fixture
def body_file(tmp_path: Path) -> Path:
    """A file with a body."""
    file = tmp_path / "it's a body.json"
    file.write_bytes(BODY)
    return file


def dump(body: bytes = BODY, timestamp: str = str(AT), secret: str = SECRET, **changed: str | None) -> bytes:
    """A whole request as a tool has saved it; `changed` replaces headers, or removes them."""
    headers = dict(deliveries.signed(secret, body, timestamp=timestamp))
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(["POST /webhooks/project HTTP/1.1", "Host: example.com", *lines, "", ""]).encode() + body


# sign -----------------------------------------------------------------------------------------------------------------


def test_what_is_signed_is_what_the_scheme_says(secret_file: Path, body_file: Path) -> None:
    arguments = ["sign", body_file, "--secret-file", secret_file, "--id", "wh_1", "--timestamp", str(AT)]
    expected = deliveries.sign(SECRET, "wh_1", str(AT), BODY)
    result = Cli().run(*arguments)
    assert result.code == 0
    assert result.out.splitlines() == [
        "webhook-id: wh_1",
        f"webhook-timestamp: {AT}",
        f"webhook-signature: {expected}",
    ]
    assert Cli().ok(*arguments)["headers"]["webhook-signature"] == expected


def test_the_scheme_timestamped_hex_signs_the_timestamp_and_the_body(tmp_path: Path, body_file: Path) -> None:
    file = tmp_path / "text"
    file.write_text("a secret of any text\n")
    hex_secret = ["--scheme", "timestamped-hex", "--secret-file", file]
    result = Cli().run("sign", body_file, *hex_secret, "--timestamp", str(AT))
    mac = hmac.new(b"a secret of any text", f"{AT}.".encode() + BODY, hashlib.sha256).hexdigest()
    assert result.out.splitlines() == [f"x-openai-timestamp: {AT}", f"x-openai-signature: {mac}"]
    for lines in (result.out, f"x-timestamp: {AT}\nx-signature-256: sha256={mac}\n"):
        request = lines.encode() + b"\n" + BODY
        judged = Cli().run("verify", "-", *hex_secret, "--at", str(AT), "--json", stdin=request)
        assert (judged.code, outcomes(judged.json())) == (0, ["passed"] * 5), judged
        other = Cli().run("verify", "-", *hex_secret, "--at", str(AT), "--json", stdin=request + b"x")
        assert (other.code, other.json()["reason"]) == (1, "no_matching_signature")
    with_id = Cli().run("sign", body_file, *hex_secret, "--id", "wh_1")
    assert (with_id.code, "--id" in with_id.err) == (2, True)
    unknown = Cli().run("sign", body_file, "--scheme", "md5", "--secret-file", file)
    assert (unknown.code, "timestamped-hex" in unknown.err) == (2, True)


def test_the_secret_may_come_from_the_environment_and_the_body_from_stdin() -> None:
    result = Cli().run("sign", "-", "--id", "wh_1", "--timestamp", str(AT), stdin=BODY, OPENAI_WEBHOOK_SECRET=SECRET)
    assert result.code == 0
    assert deliveries.sign(SECRET, "wh_1", str(AT), BODY) in result.out


@pytest.mark.stack(**unhandled())
def test_the_curl_command_makes_a_delivery_that_the_stack_accepts(stack: Stack, body_file: Path) -> None:
    result = Cli(stack).run("sign", body_file, "--curl", "--url", stack.url())
    assert result.code == 0, result
    done = subprocess.run(shlex.split(result.out.replace("\\\n", " ")), capture_output=True, check=True)
    assert b" 200 " in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["no-such-file"], {"OPENAI_WEBHOOK_SECRET": SECRET}, "no-such-file"),
        (["-"], {"OPENAI_WEBHOOK_SECRET": "RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24"}, "does not begin with `whsec_`"),
        (["-"], {"OPENAI_WEBHOOK_SECRET": "whsec_===="}, "base64"),
        (["-", "--id", "with space"], {"OPENAI_WEBHOOK_SECRET": SECRET}, "visible ASCII"),
        (["-", "--timestamp", "soon"], {"OPENAI_WEBHOOK_SECRET": SECRET}, "Unix seconds"),
        (["-", "--secret-file", "-"], {}, "stdin cannot be both"),
        (["-", "--secret-file", "/dev/null"], {}, "no secret was given"),
    ],
)
def test_bad_input_to_sign_is_2_and_shows_no_secret(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    result = Cli().run("sign", *arguments, stdin=BODY, **environment)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "RdvaYFYU" not in result.err


# send -----------------------------------------------------------------------------------------------------------------


@pytest.mark.stack(**unhandled())
def test_samples_and_files_reach_the_stack(stack: Stack, body_file: Path) -> None:
    sent = Cli(stack).lines("send", "batch.completed", "--url", stack.url(), "--count", "2")
    assert [(delivery["status"], delivery["url"]) for delivery in sent] == [(200, stack.url())] * 2
    wait_until("both are queued", lambda: len(stack.messages("batch")) == 2)
    assert len({message.json()["id"] for message in stack.messages("batch")}) == 2
    assert len({message.json()["data"]["id"] for message in stack.messages("batch")}) == 2
    Cli(stack).lines("send", "batch.failed", "--object", "batch_mine", "--url", stack.url())
    wait_until("it is queued", lambda: "batch_mine" in [m.json()["data"]["id"] for m in stack.messages("batch")])
    assert Cli(stack).run("send", body_file, "--object", "batch_mine").code == 2

    sent = Cli(stack).lines("send", body_file, "--url", stack.url(), "--id", "wh_mine")
    assert [delivery["webhook_id"] for delivery in sent] == ["wh_mine"]
    wait_until("it is queued", lambda: [m.body.encode() for m in stack.messages("response")] == [BODY])

    # To the organization's endpoint with the organization's secret.
    url = stack.url("organization")
    assert Cli(stack).run("send", "safety.warning_issued", "--endpoint", "organization", "--url", url).code == 0
    refused = Cli(stack).run("send", "safety.warning_issued", "--endpoint", "project", "--url", url)
    assert refused.code == 1
    assert "401" in refused.out
    assert "no_matching_signature" in refused.out


def test_without_a_url_it_goes_to_the_stack(make_stack: MakeStack) -> None:
    stack = make_stack(**unhandled())
    assert Cli(stack).run("send").code == 0


def test_an_additional_endpoint_has_its_own_secret_and_scheme(emulator: Emulator, make_stack: MakeStack) -> None:
    secrets = emulator.client("secretsmanager")
    arn = secrets.create_secret(Name=f"relay-{uuid.uuid4().hex}", SecretString="unset")["ARN"]
    endpoints = json.dumps({"relay": {"secret": arn, "scheme": "timestamped-hex"}})
    parameters = {"AdditionalEndpoints": endpoints, "AdditionalSecretArns": arn, **unhandled()}
    stack = make_stack(**parameters)
    cli = Cli(stack)
    unset = cli.run("send", "--endpoint", "relay")
    assert (unset.code, "openai-webhooks secret set relay" in unset.err) == (1, True)

    assert cli.ok("secret", "set", "relay", stdin="the secret of a relay")["changed"] is True
    (sent,) = cli.lines("send", "batch.completed", "--endpoint", "relay")

    assert (sent["status"], sent["webhook_id"]) == (200, None)
    (message,) = wait_until("it is queued", lambda: stack.messages("batch"))
    assert message.attributes["endpoint"] == "relay"
    headers = cli.run("sign", "-", "--endpoint", "relay", stdin=BODY).out
    judged = cli.run("verify", "-", "--endpoint", "relay", stdin=headers.encode() + b"\n" + BODY)
    assert (judged.code, "the stack's current relay secret" in judged.out) == (0, True), judged
    unknown = cli.run("send", "--endpoint", "other")
    assert (unknown.code, "project, organization, relay" in unknown.err) == (2, True)


def test_bad_input_to_send_is_2() -> None:
    unknown = Cli().run("send", "batch.done", OPENAI_WEBHOOK_SECRET=SECRET)
    assert unknown.code == 2
    assert "batch.completed" in unknown.err
    assert Cli().run("send", "--url", "no url").code == 2
    assert Cli().run("send", "--url", "ftp://a", OPENAI_WEBHOOK_SECRET=SECRET).code == 2
    assert Cli().run("send", "--count", "0").code == 2


def test_nobody_there_is_3() -> None:
    result = Cli().run("send", "--url", "http://127.0.0.1:1/webhooks/project", OPENAI_WEBHOOK_SECRET=SECRET)
    assert (result.code, result.out) == (3, "")
    assert "no answer from http://127.0.0.1:1/webhooks/project" in result.err


# verify ---------------------------------------------------------------------------------------------------------------


def outcomes(document: dict) -> list[str]:
    return [row["outcome"] for row in document["rows"]]


def test_a_delivery_that_is_right_passes_every_row(secret_file: Path) -> None:
    result = Cli().run("verify", "-", "--secret-file", secret_file, "--at", str(AT), "--json", stdin=dump())
    document = result.json()
    assert (result.code, document["accepted"], document["status"]) == (0, True, 200)
    assert [row["name"] for row in document["rows"]] == ["size", "headers", "timestamp", "signature", "json"]
    assert outcomes(document) == ["passed"] * 5
    assert document["event"]["type"] == "response.completed"


@pytest.mark.parametrize(
    ("request_", "row", "reason", "said"),
    [
        (dump(b"x" * (256 * 1024 + 1)), 0, "body_too_large", "262144"),
        (dump(webhook_id=None), 1, "missing_header", "webhook-id is missing"),
        (dump()[:33] + b"webhook-id: a\r\n" + dump()[33:], 1, "duplicate_header", "more than once"),
        (dump(timestamp="soon"), 2, "malformed_timestamp", "not a number of seconds"),
        (dump(timestamp=str(AT - 301)), 2, "timestamp_too_old", f"add --at {AT - 301}"),
        (dump(timestamp=str(AT + 301)), 2, "timestamp_too_new", "301 s after"),
        (dump(secret=new_signing_secret()), 3, "no_matching_signature", "another endpoint's or an older one"),
        (dump() + b"\n", 3, "no_matching_signature", "without the white space at its end"),
        (dump(BODY + b"\n")[:-1], 3, "no_matching_signature", "with a line feed at its end"),
        (dump(webhook_signature="abc"), 3, "no_matching_signature", "no signature of version v1"),
        (dump(content_length="7", secret=new_signing_secret()), 3, "no_matching_signature", "content-length says 7"),
        (dump(b'{"type": "a"}'), 4, "malformed_body", "not a JSON object with a `type` and an `id`"),
    ],
)
def test_the_row_that_fails_is_named_with_its_reason_and_its_fix(
    request_: bytes, row: int, reason: str, said: str, tmp_path: Path, secret_file: Path
) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(request_)
    arguments = ["verify", capture, "--secret-file", secret_file, "--at", str(AT)]
    result = Cli().run(*arguments, "--json")
    document = result.json()
    assert (result.code, document["reason"]) == (1, reason)
    assert outcomes(document) == ["passed"] * row + ["failed"] + ["not_reached"] * (4 - row)
    failed = document["rows"][row]
    assert said in f"{failed['detail']} {failed['fix']}"
    shown = Cli().run(*arguments)
    assert shown.code == 1
    assert reason in shown.out
    assert "FAIL" in shown.out
    assert SECRET[6:] not in result.out + shown.out


def test_of_a_delivery_that_is_judged_too_late_the_rest_is_told_for_its_own_time(secret_file: Path) -> None:
    for request, said in [(dump(), "made with"), (dump(secret=new_signing_secret()), "none was made with")]:
        result = Cli().run("verify", "-", "--secret-file", secret_file, "--json", stdin=request)
        document = result.json()
        assert (result.code, document["reason"]) == (1, "timestamp_too_old")
        assert document["rows"][3]["detail"].startswith(f"at its own time: {said}")


def test_headers_and_body_may_come_apart(tmp_path: Path, secret_file: Path, body_file: Path) -> None:
    signed = deliveries.signed(SECRET, BODY, timestamp=str(AT))
    common = ["verify", "--body", body_file, "--secret-file", secret_file, "--at", "2025-06-25T14:20:10Z"]
    one_by_one = [argument for name, value in signed for argument in ("--header", f"{name}={value}")]
    assert Cli().run(*common, *one_by_one).code == 0
    file = tmp_path / "headers"
    file.write_text("".join(f"{name}: {value}\n" for name, value in signed))
    assert Cli().run(*common, "--headers", file).code == 0
    assert Cli().run(*common).code == 1


@pytest.mark.stack(**unhandled())
def test_the_stacks_own_secrets_judge_as_its_verifier_does(stack: Stack) -> None:
    def verify(secret: str, *arguments: str) -> tuple[int, str]:
        request = dump(secret=secret, timestamp=str(int(time.time())))
        result = Cli(stack).run("verify", "-", *arguments, "--json", stdin=request)
        row = result.json()["rows"][3]
        return result.code, f"{row['detail']} {row['fix']}"

    old, new = stack.signing_secrets["project"], new_signing_secret()
    assert verify(old) == (0, "made with the stack's current project secret None")
    stack.set_secret("project", new)
    assert verify(new)[0] == 0
    assert verify(old) == (0, "made with the stack's previous project secret None")

    code, said = verify(stack.signing_secrets["organization"])
    assert code == 1
    assert "the stack's organization secret, which is not accepted here" in said
    assert "the URL registered at OpenAI is the wrong one" in said
    assert verify(stack.signing_secrets["organization"], "--endpoint", "organization")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        ([], b"", "CAPTURE"),
        (["-"], b"", "no empty line"),
        (["-"], b"not a header\n\n", "not `name: value`"),
        (["-", "--body", "-"], b"", "cannot be used with"),
        (["--body", "-", "--header", "with space=1"], b"", "is not a header"),
        (["--body", "-", "--headers", "-"], b"", "only one of the files"),
        (["-", "--at", "yesterday"], b"", "2026-11-21T09:30:00Z"),
    ],
)
def test_bad_input_to_verify_is_2(arguments: list[str], stdin: bytes, said: str) -> None:
    result = Cli().run("verify", *arguments, stdin=stdin, OPENAI_WEBHOOK_SECRET=SECRET)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_a_secret_that_was_never_set_is_1_with_what_to_do(make_stack: MakeStack) -> None:
    cli = Cli(make_stack(fill_secrets=False, **unhandled()))
    for arguments in (["verify", "-"], ["send"], ["sign", "-"]):
        result = cli.run(*arguments, stdin=dump())
        assert (result.code, result.out) == (1, ""), arguments
        assert "was never set" in result.err
        assert "openai-webhooks secret set project" in result.err
