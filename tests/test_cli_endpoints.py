"""`endpoints` and `secret set`: secrets go from OpenAI, or from a person, to where they are kept, and nowhere else."""

import json
import stat
from pathlib import Path

import pytest

from infra.local.stack import Stack, new_signing_secret, unhandled
from infra.local.stand_in import API_KEY, StandIn
from tests.cli import Cli, Result
from tests.conftest import MakeStack


@pytest.fixture
def stack(make_stack: MakeStack) -> Stack:
    """A stack whose URLs are reached on this machine, with an API key and without signing secrets."""
    stack = make_stack(fill_secrets=False, **unhandled())
    stack.set_secret("api-key", API_KEY)
    return stack


@pytest.fixture
def cli(stack: Stack, tmp_path: Path) -> Cli:
    """The command line, with access to the stack. The key and OpenAI's address come from there."""
    return Cli(stack, home=tmp_path)


def stored(stack: Stack, which: str = "project", stage: str = "AWSCURRENT") -> str:
    """What a secret of the stack holds."""
    secrets = stack.emulator.client("secretsmanager")
    return secrets.get_secret_value(SecretId=stack.secret_id(which), VersionStage=stage)["SecretString"]


def managed(openai: StandIn) -> list[dict]:
    """The endpoints at OpenAI, with the secrets that sign."""
    return openai.command("GET", "webhook_endpoints")["webhook_endpoints"]


def secrets_of(openai: StandIn) -> list[str]:
    return managed(openai)[0]["signing_secrets"]


def read_only(stack: Stack) -> dict[str, str]:
    """The access of somebody who may look at the stack and read its secrets, and not write them."""
    iam, user = stack.emulator.client("iam"), f"{stack.name}-reader"
    iam.create_user(UserName=user)
    statement = {
        "Effect": "Allow",
        "Action": ["cloudformation:DescribeStacks", "secretsmanager:GetSecretValue"],
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def secret_free(result: Result, *secrets: str) -> None:
    for secret in secrets:
        assert secret.removeprefix("whsec_") not in result.out + result.err


# endpoints ------------------------------------------------------------------------------------------------------------


def test_an_endpoint_lives_from_create_to_delete(stack: Stack, openai: StandIn, cli: Cli) -> None:
    assert "no webhook endpoints" in cli.run("endpoints", "list").out
    assert cli.run("endpoints", "test").code == 1

    created = cli.run("endpoints", "create")
    assert created.code == 0, created
    [endpoint] = managed(openai)
    assert (endpoint["name"], endpoint["url"]) == (stack.name, stack.url())
    assert len(endpoint["event_types"]) == 22
    assert not [name for name in endpoint["event_types"] if name.startswith(("eval.", "video."))]
    assert secrets_of(openai) == [stored(stack)]
    secret_free(created, stored(stack))

    [listed] = cli.lines("endpoints", "list")
    assert (listed["id"], listed["url"]) == (endpoint["id"], endpoint["url"])
    assert endpoint["id"] in cli.run("endpoints", "list").out

    # The stack has the endpoint's secret, so what OpenAI sends is accepted.
    assert cli.ok("endpoints", "test")["status"] == 200
    assert cli.ok("endpoints", "test", endpoint["id"], "--event-type", "batch.failed")["status"] == 200

    updated = cli.ok("endpoints", "update", "--name", "other", "--event-types", "batch.failed,batch.completed")
    assert updated["endpoint"]["event_types"] == ["batch.completed", "batch.failed"]
    assert (managed(openai)[0]["name"], managed(openai)[0]["url"]) == ("other", stack.url())

    asked = cli.run("endpoints", "delete", endpoint["id"])
    assert asked.code == 2
    assert "--yes" in asked.err
    assert cli.ok("endpoints", "delete", endpoint["id"], "--dry-run")["dry_run"] is True
    assert len(managed(openai)) == 1
    assert cli.ok("endpoints", "delete", endpoint["id"], "--yes") == {"deleted": endpoint["id"]}
    assert managed(openai) == []
    assert cli.run("endpoints", "delete", endpoint["id"], "--yes").code == 1


def test_on_a_terminal_a_deletion_is_asked_for(openai: StandIn, cli: Cli) -> None:
    created = cli.ok("endpoints", "create")
    code, shown = cli.at_terminal("n\n", "endpoints", "delete", created["endpoint"]["id"])
    assert code == 1
    assert "nothing was done" in shown
    assert len(managed(openai)) == 1
    code, shown = cli.at_terminal("y\n", "endpoints", "delete", created["endpoint"]["id"])
    assert code == 0, shown
    assert managed(openai) == []


def test_a_test_that_the_receiver_refuses_is_1(stack: Stack, cli: Cli) -> None:
    cli.ok("endpoints", "create")
    stack.set_secret("project", new_signing_secret())
    stack.set_secret("project", new_signing_secret())
    result = cli.run("endpoints", "test")
    assert result.code == 1
    assert "401" in result.out


def test_a_second_endpoint_for_the_same_url_is_refused(openai: StandIn, cli: Cli) -> None:
    cli.ok("endpoints", "create")
    again = cli.run("endpoints", "create")
    assert again.code == 1
    assert "endpoints rotate whe_" in again.err
    assert len(managed(openai)) == 1


def test_another_endpoints_secret_is_replaced_with_consent_only(stack: Stack, openai: StandIn, cli: Cli) -> None:
    other = new_signing_secret()
    stack.set_secret("project", other)
    assert cli.run("endpoints", "create").code == 2
    assert cli.ok("endpoints", "create", "--dry-run")["url"] == stack.url()
    assert (managed(openai), stored(stack)) == ([], other)
    cli.ok("endpoints", "create", "--yes")
    assert secrets_of(openai) == [stored(stack)]


def test_rotating_keeps_the_old_secret_for_a_day_unless_it_must_end_now(
    stack: Stack, openai: StandIn, cli: Cli
) -> None:
    cli.ok("endpoints", "create")
    old = stored(stack)
    rotated = cli.run("endpoints", "rotate")
    assert rotated.code == 0
    new = stored(stack)
    assert secrets_of(openai) == [new, old]
    secret_free(rotated, old, new)
    assert cli.ok("endpoints", "test")["status"] == 200

    assert cli.run("endpoints", "rotate", "--now").code == 2
    assert cli.ok("endpoints", "rotate", "--now", "--dry-run")["old_secret_ends"] == "now"
    assert stored(stack) == new
    cli.ok("endpoints", "rotate", "--now", "--yes")
    assert secrets_of(openai) == [stored(stack)]
    assert stored(stack) not in (old, new)


def test_a_rotation_in_the_midst_of_the_stacks_own_is_refused(stack: Stack, openai: StandIn, cli: Cli) -> None:
    cli.ok("endpoints", "create")
    before = secrets_of(openai)
    stack.emulator.client("secretsmanager").put_secret_value(
        SecretId=stack.secret_id("project"), SecretString=new_signing_secret(), VersionStages=["AWSPENDING"]
    )
    result = cli.run("endpoints", "rotate")
    assert result.code == 1
    assert "is rotating this secret itself" in result.err
    assert secrets_of(openai) == before


def test_a_secret_that_cannot_be_stored_is_not_lost(stack: Stack, openai: StandIn, cli: Cli, tmp_path: Path) -> None:
    cli.ok("endpoints", "create")
    before = stored(stack)
    result = cli.run("endpoints", "rotate", cwd=tmp_path, **read_only(stack))
    assert (result.code, result.out) == (3, "")
    assert stored(stack) == before
    [rescued] = tmp_path.glob("*.secret")
    assert rescued.name in result.err
    assert stat.S_IMODE(rescued.stat().st_mode) == 0o600
    assert rescued.read_text().strip() == secrets_of(openai)[0]
    secret_free(result, *secrets_of(openai))
    # What it says to do.
    assert cli.run("secret", "set", "project", "--file", rescued).code == 0
    assert stored(stack) == secrets_of(openai)[0]


def test_a_secret_may_go_to_a_new_file_that_its_owner_alone_can_read(
    stack: Stack, openai: StandIn, cli: Cli, tmp_path: Path
) -> None:
    file, url = tmp_path / "secret", "https://example.com/hooks"
    created = cli.ok("endpoints", "create", "--url", url, "--event-types", "batch.completed", "--secret-out", file)
    assert created["stored"] == {"file": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == secrets_of(openai)[0]
    assert stored(stack) == "unset"

    # Never over a file that is there, and never into a stack that the endpoint does not deliver to.
    again = cli.run("endpoints", "rotate", created["endpoint"]["id"], "--secret-out", file)
    assert again.code == 2
    assert "does not exist yet" in again.err
    into_stack = cli.run("endpoints", "rotate", created["endpoint"]["id"])
    assert into_stack.code == 2
    assert "--secret-out" in into_stack.err
    assert secrets_of(openai) == [file.read_text().strip()]


def test_a_refused_creation_leaves_no_file(openai: StandIn, cli: Cli, tmp_path: Path) -> None:
    openai.command("POST", "keys", {"key": API_KEY, "permissions": ["api.webhooks.read"]})
    file = tmp_path / "secret"
    result = cli.run("endpoints", "create", "--secret-out", file)
    assert result.code == 3
    assert "missing_scope" in result.err
    assert not file.exists()


def test_a_key_of_the_environment_goes_before_the_stacks(stack: Stack, openai: StandIn, tmp_path: Path) -> None:
    stack.set_secret("api-key", "unset")
    without = Cli(stack, home=tmp_path).run("endpoints", "types")
    assert without.code == 1
    assert "secret set api-key" in without.err
    assert Cli(stack, openai, home=tmp_path).run("endpoints", "types").code == 0
    # Nothing of AWS is needed, then.
    alone = Cli(home=tmp_path).run("endpoints", "types", OPENAI_API_KEY=API_KEY, OPENAI_BASE_URL=openai.base_url)
    assert alone.code == 0
    wrong = Cli(stack, openai, home=tmp_path).run("endpoints", "types", OPENAI_API_KEY="sk-wrong")
    assert wrong.code == 3
    assert "sk-wrong" not in wrong.err


def test_the_types_are_listed_with_where_the_others_are(cli: Cli) -> None:
    result = cli.run("endpoints", "types")
    assert result.code == 0
    assert len(result.out.splitlines()) == 27
    assert "dashboard" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "--event-types", "live.transport.incoming"), 2, "dashboard"),
        (("create", "--event-types", "batch.done"), 2, "endpoints types"),
        (("create", "--url", "https://example.com"), 2, "--secret-out"),
        (("update", "whe_1"), 2, "--name"),
        (("update", "whe_1", "--name", "a"), 1, "does not exist"),
        (("delete", "../batches", "--yes"), 2, "no OpenAI id has"),
        (("test", "whe_1"), 1, "does not exist"),
        (("list", "--limit", "0"), 2, "0"),
    ],
)
def test_bad_input_to_endpoints(cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cli.run("endpoints", *arguments)
    assert (result.code, result.out) == (code, ""), result
    assert said in result.err


def test_the_key_of_the_stack_goes_to_its_own_address_alone(stack: Stack, openai: StandIn, cli: Cli) -> None:
    # Whoever sets a variable of somebody's shell would get the key of production.
    with StandIn(openai.log.parent / "other") as other:
        for command in (("endpoints", "list"), ("endpoints", "types"), ("batch", "list"), ("doctor",)):
            before = sum(request["count"] for request in openai.requests())
            result = cli.run(*command, OPENAI_BASE_URL=other.base_url)
            assert other.requests() == [], command
            assert sum(request["count"] for request in openai.requests()) > before, command
            assert f"the stack's key goes to {openai.base_url} alone" in result.err, command

        assert cli.run("endpoints", "list", OPENAI_API_KEY=API_KEY, OPENAI_BASE_URL=other.base_url).code == 0
        assert sum(request["count"] for request in other.requests()) == 1


@pytest.mark.parametrize("command", [("test", "{}"), ("update", "{}", "--name", "b"), ("delete", "{}", "--yes")])
def test_an_endpoint_is_found_by_the_beginning_of_its_id(openai: StandIn, cli: Cli, command: tuple[str, ...]) -> None:
    cli.ok("endpoints", "create")
    (endpoint,) = managed(openai)
    whole = endpoint["id"]
    assert cli.run("endpoints", *(word.format(whole[:7]) for word in command)).code == 1, "too short"
    result = cli.run("endpoints", *(word.format(whole[:12]) for word in command))
    assert (result.code, whole in result.out) == (0, True), result


def test_openai_down_is_3_and_with_json_the_error_is_a_document(cli: Cli) -> None:
    nowhere = {"OPENAI_API_KEY": API_KEY, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    result = cli.run("endpoints", "list", "--json", **nowhere)
    assert (result.code, result.out) == (3, "")
    assert "no answer" in result.error()["error"]
    assert result.error()["hint"] == "Try again in a moment."


# secret set -----------------------------------------------------------------------------------------------------------


def test_a_secret_is_stored_from_stdin_or_a_file_and_never_shown(stack: Stack, cli: Cli, tmp_path: Path) -> None:
    first, second = new_signing_secret(), new_signing_secret()
    # A byte order mark is what some editors write before a text.
    result = cli.run("secret", "set", "project", stdin=f"\ufeff  {first}\n")
    assert result.code == 0
    assert "24 hours" in result.out
    assert stored(stack) == first
    secret_free(result, first)

    file = tmp_path / "secret"
    file.write_text(second)
    assert cli.ok("secret", "set", "organization", "--file", file)["changed"] is True
    assert stored(stack, "organization") == second
    # Once more changes nothing: the value before, which may still be in use, stays AWSPREVIOUS.
    assert cli.ok("secret", "set", "organization", "--file", file)["changed"] is False
    assert stored(stack, "organization", "AWSPREVIOUS") == "unset"

    assert cli.run("secret", "set", "api-key", stdin="sk-proj-abc").code == 0
    assert stored(stack, "api-key") == "sk-proj-abc"


@pytest.mark.parametrize(
    ("which", "text", "said"),
    [
        ("project", "RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24", "`whsec_`"),
        ("project", "whsec_!!!RdvaYFYUXuIFuEbv", "base64"),
        ("organization", "whsec_RdvaYFYU", "too short"),
        ("project", "sk-proj-RdvaYFYU", "is an API key"),
        ("api-key", "whsec_RdvaYFYU", "is a signing secret"),
        ("api-key", "sk-admin-RdvaYFYU", "admin key"),
        ("api-key", "RdvaYFYU", "`sk-`"),
        ("api-key", "sk-RdvaYFYU RdvaYFYU", "no API key has the character"),
        ("project", "", "no secret was given"),
        ("project", "whsec_RdvaYFYU" * 400, "longer than"),
        ("not/a-name", "", "letters, digits and hyphens"),
    ],
)
def test_what_cannot_be_the_secret_is_2_stored_nowhere_and_not_shown(which: str, text: str, said: str) -> None:
    result = Cli().run("secret", "set", which, stdin=text)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "RdvaYFYU" not in result.err


def test_on_a_terminal_a_secret_is_typed_unseen(stack: Stack, cli: Cli) -> None:
    secret = new_signing_secret()
    code, shown = cli.at_terminal(f"{secret}\n", "secret", "set", "project", unseen=True)
    assert code == 0, shown
    assert stored(stack) == secret
    assert secret not in shown


def test_who_may_not_store_is_told_what_is_missing(stack: Stack, cli: Cli) -> None:
    result = cli.run("secret", "set", "project", stdin=new_signing_secret(), **read_only(stack))
    assert result.code == 3
    assert "secretsmanager:PutSecretValue" in result.err
    assert stored(stack) == "unset"
