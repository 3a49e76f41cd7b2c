"""The supervisor of calls as a container: the image of `infra/supervisor.Dockerfile`, run as its template says."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

from infra.local.docker import Docker, DockerError, Image
from infra.local.emulator import ACCESS_KEY, REGION
from infra.local.processes import ROOT
from infra.local.sam import BINARIES, HOST
from infra.local.stack import Stack

_TEMPLATE = ROOT / "infra" / "supervisor-fargate.yaml"
_DOCKERFILE = ROOT / "infra" / "supervisor.Dockerfile"
_IMAGE = "openai-webhooks-local/supervisor"
_BASE = "public.ecr.aws/amazonlinux/amazonlinux:2023-minimal"
_BUILD_SECONDS = 180.0
_STOP_SECONDS = 120
"""`StopTimeout` of the template."""


@contextmanager
def supervisor(docker: Docker, stand_in: Image, stack: Stack, openai: str, log: Path) -> Iterator[str]:
    """Build the image, run it against the stack, and yield the container's name.

    At the end it is asked to stop, as Fargate asks. Raises `DockerError` if it does not end by itself then.
    """
    base = _base(docker, stand_in)
    docker.run(
        *("build", "--tag", _IMAGE, "--build-arg", f"BASE={base}", "--network", "none", "-"),
        content=_context(),
        seconds=_BUILD_SECONDS,
    )
    name = ""
    try:
        access = variables(stack, f"http://{HOST}:{stack.emulator.port}", openai)
        given = [word for name, value in access.items() for word in ("--env", f"{name}={value}")]
        name = docker.run("run", "--detach", "--read-only", "--add-host", f"{HOST}:host-gateway", *given, _IMAGE)
        yield name
        docker.run("stop", "--time", str(_STOP_SECONDS), name, seconds=_STOP_SECONDS + 10)
        code = docker.run("inspect", "--format", "{{.State.ExitCode}}", name)
        if code != "0":
            raise DockerError(f"the supervisor's container ended with {code}")
    finally:
        if name:
            with log.open("a") as file:
                file.write(f"\n--- the supervisor's container\n{docker.run('logs', name)}\n")
            docker.run("rm", "--force", name)
        docker.run("rmi", "--force", _IMAGE)


def _base(docker: Docker, stand_in: Image) -> str:
    """The image's own base, or what functions run on where it cannot be pulled."""
    try:
        docker.run("pull", "--quiet", _BASE, seconds=_BUILD_SECONDS)
    except DockerError:
        return stand_in.name
    return _BASE


def _context() -> bytes:
    """Archive with the Dockerfile and the binary."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as archive:
        archive.add(_DOCKERFILE, "Dockerfile")
        archive.add(BINARIES / "supervisor" / "bootstrap", "bootstrap")
    return content.getvalue()


def variables(stack: Stack, aws: str, openai: str) -> dict[str, str]:
    """The variables that the template gives the container, with this stack's values, and access to AWS at `aws`."""
    values = {
        "AWS_REGION": REGION,
        "OPENAI_BASE_URL": openai,
        "OPENAI_API_KEY_SECRET": stack.outputs["OpenAIApiKeySecretArn"],
        "TABLE_NAME": stack.outputs["TableName"],
        "BUCKET_NAME": stack.outputs["BucketName"],
        "BUS_NAME": stack.outputs["BusName"],
        "ALERTS_TOPIC_ARN": stack.outputs["AlertsTopicArn"],
        "QUEUE_URL": stack.outputs["SupervisorQueueUrl"],
        "TOOL_SECRET": "",
    }
    access = {"AWS_ENDPOINT_URL": aws, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": ACCESS_KEY}
    return {name: values[name] for name in _named()} | access


def _named() -> list[str]:
    """Names of the variables in the template."""
    task = yaml_parse(_TEMPLATE.read_text())["Resources"]["Task"]["Properties"]
    return [variable["Name"] for variable in task["ContainerDefinitions"][0]["Environment"]]
