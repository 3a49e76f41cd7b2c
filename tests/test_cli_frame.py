"""What all commands of the command line have in common."""

import pytest

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


def test_the_manual_page_has_every_command() -> None:
    result = Cli().run("man")
    assert result.code == 0
    assert result.out.startswith(".ie")
    assert '.SH "openai-webhooks completions"' in result.out
