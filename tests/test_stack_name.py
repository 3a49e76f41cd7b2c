"""Names of stacks that AWS would refuse half-way through."""

from pathlib import Path

import pytest

from infra.stack_name import chosen, main, problem

CONFIG = """
[default.global.parameters]
stack_name = "openai-webhooks"

[bad.deploy.parameters]
stack_name = "ssm-hooks"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "samconfig.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("name", ["aws-hooks", "AWSHooks", "ssm", "ssm-prod", "a" * 52, "1hooks", "hooks_prod", ""])
def test_a_name_that_aws_refuses_is_refused_with_the_reason(name: str) -> None:
    assert "Change stack_name in samconfig.toml" in (problem(name) or "")


@pytest.mark.parametrize("name", ["openai-webhooks", "a" * 51, "my-aws", "Hooks1"])
def test_a_name_that_aws_takes_is_taken(name: str) -> None:
    assert problem(name) is None


def test_the_name_is_the_one_that_sam_deploys(config: Path) -> None:
    assert chosen(config, []) == "openai-webhooks"
    assert chosen(config, ["--config-env", "bad"]) == "ssm-hooks"
    assert chosen(config, ["--stack-name=other", "--parameter-overrides", "A=b"]) == "other"


def test_the_check_says_what_is_wrong(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(config)]) == 0
    assert main([str(config), "--config-env", "bad"]) == 1
    assert "ssm-hooks begins with aws or ssm" in capsys.readouterr().err
