"""Refuses a stack's name that AWS would refuse half-way through: `python -m infra.stack_name samconfig.toml ARGUMENTS`.

`make deploy` runs it first. CloudFormation's own rules see parameters alone, and not the name.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

MAX_LENGTH = 51
"""Scheduler allows 64 characters, and STACK-expectations is one of its names."""

RESERVED = ("aws", "ssm")
"""What Systems Manager lets no parameter's path begin with."""


def problem(name: str) -> str | None:
    """What is wrong with a stack's name, and what to do; `None` if nothing is."""
    change = "Change stack_name in samconfig.toml, or give another one with --stack-name."
    if len(name) > MAX_LENGTH:
        return f"The stack's name {name} has {len(name)} characters; {MAX_LENGTH} is the most. {change}"
    if name.lower().startswith(RESERVED):
        return f"The stack's name {name} begins with aws or ssm, which Systems Manager reserves. {change}"
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]*", name):
        return f"The stack's name {name} may have letters, digits and dashes, and begins with a letter. {change}"
    return None


def chosen(config: Path, arguments: list[str]) -> str:
    """Name of the stack that `sam deploy` would deploy with these arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--stack-name")
    parser.add_argument("--config-env", default="default")
    parser.add_argument("--config-file", type=Path, default=config)
    given, _ = parser.parse_known_args(arguments)
    if given.stack_name:
        return given.stack_name
    settings = tomllib.loads(given.config_file.read_text()).get(given.config_env, {})
    found = [settings.get(command, {}).get("parameters", {}).get("stack_name") for command in ("deploy", "global")]
    return next((name for name in found if name), "")


def main(arguments: list[str]) -> int:
    """Return 1 after saying what is wrong."""
    found = problem(chosen(Path(arguments[0]), arguments[1:]))
    if found:
        print(found, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
