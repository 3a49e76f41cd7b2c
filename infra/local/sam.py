"""`sam local start-api` and `sam local invoke`, with the binaries and the stack of this machine."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.deploy import functions, template
from infra.local.docker import ARCHITECTURE, Docker, Image
from infra.local.emulator import ACCESS_KEY, REGION, free_port
from infra.local.processes import ROOT, Process
from infra.local.stack import Stack

BINARIES = ROOT / "target" / "sam-local"
"""Folder in which `make sam-local` builds a folder with a `bootstrap` for each function."""

HOST = "host.docker.internal"
"""Name of this machine in containers."""

_SAM = Path(sys.executable).with_name("sam")
_START_SECONDS = 120.0
_INVOKE_SECONDS = 180.0
_STOP_SECONDS = 20.0


class SamError(Exception):
    """sam local failed. The text has its output."""


@dataclass(frozen=True)
class Settings:
    """Settings of both commands."""

    docker: Docker
    image: Image
    stack: Stack
    directory: Path
    """Directory of the template, events, logs and everything that sam keeps."""

    @property
    def log(self) -> Path:
        """Output of sam and the functions."""
        return self.directory / "sam.log"

    def write(self) -> None:
        """Write the template, with the variables that the deployed functions have."""
        changed = template()
        for name, resource in functions(changed).items():
            properties = resource["Properties"]
            properties["CodeUri"] = str(BINARIES / name)
            # This stack registers no endpoint, so the functions for one are not in it.
            if "Condition" not in resource:
                properties["Environment"] = {"Variables": self._deployed(name)}
        # sam local sets no variable that the template does not have. It sets this one for every function.
        changed["Globals"]["Function"]["Environment"] = {
            "Variables": {"AWS_ENDPOINT_URL": f"http://{HOST}:{self.stack.emulator.port}"}
        }
        (self.directory / "template.json").write_text(json.dumps(changed, default=str))
        for home in ("home", "tmp"):
            (self.directory / home).mkdir(exist_ok=True)

    def options(self) -> list[str | Path]:
        """Options of both commands."""
        given: list[str | Path] = ["--template", self.directory / "template.json"]
        given += ["--parameter-overrides", f"Architecture={ARCHITECTURE}", "--region", REGION]
        given += ["--add-host", f"{HOST}:host-gateway", "--skip-pull-image"]
        return given + (["--invoke-image", self.image.name] if self.image.stand_in else [])

    def environment(self) -> dict[str, str]:
        """Their environment. For sam, too, AWS is the emulator: it asks for its identity before it starts."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "LC_ALL": "C.UTF-8",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ENDPOINT_URL_STS": self.stack.emulator.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            **self.docker.variables,
        }

    def _deployed(self, function: str) -> dict[str, str]:
        functions = self.stack.emulator.client("lambda")
        configuration = functions.get_function_configuration(FunctionName=f"{self.stack.name}-{function}")
        return configuration["Environment"]["Variables"]


@contextmanager
def start_api(settings: Settings) -> Iterator[str]:
    """Serve the HTTP API and yield its URL. A function's container starts at the first request and stays.

    Raises `StartError` if it fails to start.
    """
    port = free_port()
    listen: list[str | Path] = ["--host", "127.0.0.1", "--port", str(port), "--warm-containers", "LAZY"]
    process = Process(
        "sam local start-api",
        [_SAM, "local", "start-api", *settings.options(), *listen],
        settings.log,
        settings.environment(),
        grace=_STOP_SECONDS,
    )
    try:
        process.wait_until_ready(lambda: _listens(port), _START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


def invoke(settings: Settings, logical_id: str, event: dict[str, Any]) -> Any:
    """Invoke a function with an event and return its result. The exit code is 0 in any case, so it is ignored.

    Raises `SamError` if there is no result.
    """
    file = settings.directory / f"{logical_id}.event.json"
    file.write_text(json.dumps(event))
    with settings.log.open("ab") as log:
        log.write(f"\n--- sam local invoke {logical_id}\n".encode())
        log.flush()
        try:
            ended = subprocess.run(
                [_SAM, "local", "invoke", logical_id, "--event", file, *settings.options()],
                cwd=settings.directory,
                env=settings.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=_INVOKE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SamError(f"sam local invoke {logical_id} took longer than {_INVOKE_SECONDS:.0f} s") from None
        log.write(ended.stdout)
    said = ended.stdout.decode(errors="replace").strip()
    try:
        return json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        raise SamError(f"the function returned {said or 'nothing'} instead of JSON") from None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
