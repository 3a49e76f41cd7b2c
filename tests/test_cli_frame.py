"""What all commands of the command line have in common."""

from pathlib import Path

import pytest

from infra.local.emulator import ACCESS_KEY, REGION
from infra.local.stack import Stack, unhandled
from tests.cli import Cli


def test_help_names_the_commands_and_the_global_options() -> None:
    result = Cli().run("--help")
    assert result.code == 0
    assert "completions" in result.out
    assert "--stack" in result.out


@pytest.mark.parametrize(
    "arguments", [("no-such-command",), ("man", "--no-such-option"), ("completions", "no-such-shell")]
)
def test_bad_usage_is_2_and_says_what_is_wrong(arguments: tuple[str, ...]) -> None:
    result = Cli().run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "no-such" in result.err


def test_with_json_bad_usage_is_json_too() -> None:
    result = Cli().run("no-such-command", "--json")
    assert (result.code, result.out) == (2, "")
    assert "no-such-command" in result.error()["error"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "elvish"])
def test_a_completion_script_comes_for_every_shell(shell: str) -> None:
    result = Cli().run("completions", shell)
    assert result.code == 0
    assert "openai-webhooks" in result.out


@pytest.mark.stack(**unhandled())
def test_access_comes_from_a_profile_as_with_the_aws_command_line(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(f"[profile staging]\nregion = {REGION}\n")
    keys = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {ACCESS_KEY}\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[staging]\n{keys}")
    cli = Cli(home=tmp_path)
    arguments = ("send", "batch.completed", "--stack", stack.name, "--url", stack.url(), "--profile")
    sent = cli.run(*arguments, "staging", AWS_ENDPOINT_URL=stack.emulator.endpoint_url)
    assert sent.code == 0, sent
    missing = cli.run(*arguments, "production", "--region", REGION, AWS_ENDPOINT_URL=stack.emulator.endpoint_url)
    assert missing.code == 3
    assert "there is no AWS profile production" in missing.err
    (tmp_path / ".aws" / "config").write_text("[profile staging]\n")
    nowhere = cli.run(*arguments, "staging", AWS_ENDPOINT_URL=stack.emulator.endpoint_url)
    assert nowhere.code == 3
    assert "--region" in nowhere.err


def test_every_command_takes_json() -> None:
    assert "complete" in Cli().ok("completions", "bash")["script"]
    assert "openai-webhooks" in Cli().ok("man")["page"]
