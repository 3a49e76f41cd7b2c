"""Access to AWS: what the command line says when there is none, by what happened; and what its hints keep."""

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.emulator import ACCESS_KEY, REGION, Emulator, free_port
from infra.local.stack import CATEGORIES, Stack, unhandled
from infra.local.stand_in import StandIn
from tests.cli import Cli
from tests.conftest import MakeStack
from tests.waiting import wait_until

KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": ACCESS_KEY, "AWS_REGION": REGION}


def configured(home: Path, config: str) -> Cli:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(config)
    return Cli(home=home)


@contextmanager
def proxy(answer: str) -> Iterator[tuple[str, list[str]]]:
    """A proxy that gives this answer to every request, its URL, and the first lines that it got."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(65536).decode().splitlines()[0])
                    connection.sendall(f"HTTP/1.1 {answer}\r\n\r\n".encode())

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://me:secret@127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)


def test_a_profile_that_does_not_exist_is_named_beside_those_that_do(tmp_path: Path) -> None:
    cli = configured(tmp_path, "[profile staging]\nregion = eu-west-1\n[profile live]\nregion = eu-west-1\n")
    for result in (cli.run("status", "--profile", "prod"), cli.run("status", AWS_PROFILE="prod")):
        assert result.code == 3
        assert "there is no AWS profile prod" in result.err
        assert "live, staging" in result.err


def test_a_profile_that_is_given_wins_over_keys_in_the_environment(
    emulator: Emulator, make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack(**unhandled())
    cli = configured(tmp_path, f"[profile staging]\nregion = {REGION}\n")
    (tmp_path / ".aws" / "credentials").write_text(
        f"[staging]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {ACCESS_KEY}\n"
    )
    other = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "another account's"}
    at = {"AWS_ENDPOINT_URL": emulator.endpoint_url, "OPENAI_WEBHOOKS_STACK": stack.name, **other}
    assert cli.run("dlq", "list", "--profile", "staging", **at).code == 0
    refused = cli.run("dlq", "list", AWS_REGION=REGION, **at)
    assert refused.code == 3
    assert "access key" in refused.err


def test_an_expired_single_sign_on_says_how_to_sign_in_again(tmp_path: Path) -> None:
    cli = configured(
        tmp_path,
        f"[profile sso]\nsso_session = my\nsso_account_id = 123456789012\nsso_role_name = admin\nregion = {REGION}\n"
        f"[sso-session my]\nsso_region = {REGION}\nsso_start_url = https://example.com/start\n",
    )
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "hidden", "expiresAt": "2020-01-01T00:00:00Z", "region": REGION}
    (cache / f"{hashlib.sha1(b'my').hexdigest()}.json").write_text(json.dumps(token))
    result = cli.run("status", "--profile", "sso")
    assert result.code == 3
    assert "aws sso login --profile sso" in result.err
    assert "expired" in result.err
    assert "hidden" not in result.err


def test_without_any_access_nobody_is_told_of_a_metadata_service(tmp_path: Path) -> None:
    result = Cli(home=tmp_path).run("status", AWS_REGION=REGION)
    assert result.code == 3
    assert "no AWS credentials: neither in the environment nor in a profile" in result.err


def test_a_refused_connection_is_told_once_and_not_as_a_missing_permission() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = Cli().run("status", AWS_ENDPOINT_URL=url, **KEYS)
    assert result.code == 3
    assert result.err.count("Connection refused") == 1, result.err
    assert "permission" not in result.err
    assert "Your AWS identity needs" not in result.err
    assert f"AWS_ENDPOINT_URL is {url}" in result.err


def test_a_proxy_is_used_and_named_when_it_refuses() -> None:
    with proxy("403 Forbidden") as (url, asked):
        result = Cli().run("status", HTTPS_PROXY=url, **KEYS)
        assert result.code == 3
        assert set(asked) == {f"CONNECT cloudformation.{REGION}.amazonaws.com:443 HTTP/1.1"}
        assert "through the proxy 127.0.0.1:" in result.err
        assert "HTTPS_PROXY" in result.err
        assert "secret" not in result.err
        asked.clear()
        Cli().run("status", HTTPS_PROXY=url, NO_PROXY="amazonaws.com", AWS_MAX_ATTEMPTS="1", **KEYS)
        assert asked == []


def test_a_stack_that_is_not_there_is_looked_for_in_a_region_that_is_named(emulator: Emulator) -> None:
    result = Cli().run("events", "list", "--stack", "prod", AWS_ENDPOINT_URL=emulator.endpoint_url, **KEYS)
    assert result.code == 1
    assert f"there is no stack prod in {REGION}" in result.err


def test_hints_keep_the_options_that_were_given(make_stack: MakeStack, emulator: Emulator, tmp_path: Path) -> None:
    stack = make_stack(fill_secrets=False, **unhandled())
    cli = configured(tmp_path, f"[profile on.call]\nregion = {REGION}\n")
    (tmp_path / ".aws" / "credentials").write_text(
        f"[on.call]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {ACCESS_KEY}\n"
    )
    given = ("--stack", stack.name, "--profile", "on.call")
    at = {"AWS_ENDPOINT_URL": emulator.endpoint_url}

    text, document = cli.run(*given, "doctor", **at), cli.run(*given, "doctor", "--json", **at)
    assert (text.code, document.code) == (1, 1), document
    fixes = [finding["fix"] for finding in document.json()["findings"] if finding["fix"]]

    commands = [found for found in [text.out, *fixes] if "openai-webhooks " in found]
    assert len(commands) >= 2
    for found in commands:
        named = re.findall(r"openai-webhooks (\S+ \S+)", found)
        assert set(named) == {f"--stack {stack.name}"}, found
        assert "--profile 'on.call'" in found


@pytest.mark.parametrize("command", [("--help",), ("status",), ("doctor",)])
def test_no_colour_is_shown_to_whoever_wants_none(make_stack: MakeStack, command: tuple[str, ...]) -> None:
    cli = Cli(make_stack(**unhandled()))
    colour = re.compile(r"\x1b\[[0-9;]*m")
    assert colour.search(cli.at_terminal("", *command, TERM="xterm-256color")[1])
    assert not colour.search(cli.at_terminal("", *command, TERM="xterm-256color", NO_COLOR="1")[1])
    assert not colour.search(cli.run(*command).out)


def test_a_narrow_terminal_shows_whole_ids(make_stack: MakeStack, openai: StandIn) -> None:
    stack = make_stack(**unhandled(*(name for name in CATEGORIES if name != "file")))
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="x")["id"]}, wait=True)
    wait_until("it is recorded", lambda: stack.event(delivery["webhook_id"]))
    wide = Cli(stack).at_terminal("", "events", "list", columns=200)[1]
    narrow = Cli(stack).at_terminal("", "events", "list", columns=50)[1]
    row = next(line for line in wide.splitlines() if delivery["webhook_id"] in line)
    assert "file.processed" in row
    lines = [line.strip() for line in narrow.splitlines()]
    assert any(line.endswith(delivery["webhook_id"]) and "file.processed" not in line for line in lines)


def test_ctrl_c_does_not_lose_a_secret_that_openai_shows_once(stack: Stack, openai: StandIn, tmp_path: Path) -> None:
    cli = Cli(stack, home=tmp_path)
    openai.fault("POST /v1/webhook_endpoints", "stall", milliseconds=2000)

    def asked() -> bool:
        return openai.command("GET", "faults")["faults"][0]["hits"] > 0

    result = cli.interrupted(asked, "endpoints", "create", "--yes")

    assert result.code == 0, result
    assert "Storing the secret" in result.err
    (endpoint,) = openai.endpoints()
    secrets = stack.emulator.client("secretsmanager")
    value = secrets.get_secret_value(SecretId=stack.secret_id("project"))["SecretString"]
    assert value in endpoint["signing_secrets"]
