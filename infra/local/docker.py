"""Docker for `sam local`, and the image that its functions run on.

A running Docker is used. Where none runs, a private daemon is started, with its socket and data in a temporary
directory, after installing `docker.io` if necessary. It changes no firewall and no routing.

The image is AWS's own. Where its registry cannot be reached, a stand-in is made of this machine's files: a shell, the C
library and the certificate authorities, which is all that a Rust function and Lambda's runtime emulator need. The
stand-in proves nothing about Amazon Linux, so its user has to check the binaries' glibc.
"""

import fcntl
import io
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.local.processes import Process

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
"""Processor of this machine, as Lambda calls it."""

_AWS_IMAGE = f"public.ecr.aws/lambda/provided:al2023-{ARCHITECTURE}"
_STAND_IN = f"openai-webhooks-local/provided:al2023-{ARCHITECTURE}"
_CONTAINERS = "label=sam.cli.container.type=lambda"
_EMULATORS = ("reference=public.ecr.aws/lambda/provided:*rapid-*", "reference=openai-webhooks-local/provided")

_ANSWER_SECONDS = 30.0
_PULL_SECONDS = 180.0
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0

_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_BRIDGE = "docker0"
_DAEMON_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Search path with the directories of daemons, which an ordinary user's path lacks."""


class DockerError(Exception):
    """Docker is missing or failed. The text says what to do, or has Docker's message."""


@dataclass(frozen=True)
class Image:
    """Image that functions run on."""

    name: str
    description: str
    """AWS's image or the stand-in, and why."""
    stand_in: bool


class Docker:
    """Running Docker. Its earlier contents stay."""

    def __init__(self, host: str, description: str) -> None:
        """Connect to the daemon at `host`, such as `unix:///var/run/docker.sock`."""
        self.description = description
        kept = ("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")
        self.variables = {"DOCKER_HOST": host, **{name: os.environ[name] for name in kept if name in os.environ}}
        """Environment variables by which Docker's clients find it."""
        self._before = set(self._everything())

    def run(self, *arguments: str, content: bytes | None = None, seconds: float = _ANSWER_SECONDS) -> str:
        """Run a docker command with `content` as its input, and return its output."""
        return _docker(*arguments, content=content, seconds=seconds, variables=self.variables)

    def image(self, binary: Path) -> Image:
        """Get AWS's image, or make the stand-in with the libraries that `binary` needs."""
        if self.run("images", "--quiet", _AWS_IMAGE):
            return Image(_AWS_IMAGE, f"{_AWS_IMAGE}, which was here", stand_in=False)
        try:
            self.run("pull", "--quiet", _AWS_IMAGE, seconds=_PULL_SECONDS)
        except DockerError as error:
            reason = str(error).splitlines()[-1]
            if sys.platform != "linux":
                raise DockerError(f"{_AWS_IMAGE} can't be pulled, and only Linux can stand in: {reason}") from None
        else:
            return Image(_AWS_IMAGE, f"{_AWS_IMAGE}, pulled", stand_in=False)
        self.run("import", "--change", "ENV PATH=/bin", "-", _STAND_IN, content=_root_file_system(binary))
        return Image(_STAND_IN, f"a stand-in for {_AWS_IMAGE}, which could not be pulled: {reason}", stand_in=True)

    def remains(self) -> list[str]:
        """Containers and images of sam local that were not there before."""
        return sorted(set(self._everything()) - self._before)

    def clear(self) -> list[str]:
        """Remove those, and return what is left."""
        try:
            for remain in self.remains():
                kind, name = remain.split(" ", 1)
                # One that goes by itself meanwhile is not an error: only containers that are left count.
                with suppress(DockerError):
                    self.run(*(("rm", "--force", "--volumes") if kind == "container" else ("rmi", "--force")), name)
            return self.remains()
        except DockerError as error:
            return [str(error)]

    def _everything(self) -> Iterator[str]:
        for container in self.run("ps", "--all", "--quiet", "--filter", _CONTAINERS).split():
            yield f"container {container}"
        for emulator in _EMULATORS:
            for image in self.run("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", emulator).split():
                yield f"image {image}"


@contextmanager
def docker(directory: Path) -> Iterator[Docker]:
    """Running Docker, or a private one with its log in `directory`.

    Raises `DockerError` if none runs and none can be started, `StartError` if the private one fails to start.
    """
    if host := _answering():
        yield Docker(host, f"the one at {host}")
        return
    installed = shutil.which("docker") and shutil.which("dockerd", path=_DAEMON_PATH)
    if os.geteuid() != 0:
        raise DockerError(
            "Docker does not answer. Start it (systemctl start docker)"
            f"{'' if installed else ' after installing it (apt-get install docker.io)'}, or run this as root, which "
            "starts one for the time of the run."
        )
    if not installed:
        _install("docker.io")
        # With a service manager, the installation has started it.
        if host := _answering():
            yield Docker(host, f"the one at {host}, just installed")
            return
    with _daemon(directory) as started:
        yield started


@contextmanager
def _daemon(directory: Path) -> Iterator[Docker]:
    """Private daemon. The path of its socket is short, because the kernel takes at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="docker-") as home:
        host = f"unix://{home}/docker.sock"
        had_bridge = _has_bridge()
        places = {"host": host, "data-root": f"{home}/data", "exec-root": f"{home}/exec", "pidfile": f"{home}/pid"}
        process = Process(
            "dockerd",
            [
                shutil.which("dockerd", path=_DAEMON_PATH) or "dockerd",
                *(f"--{option}={place}" for option, place in places.items()),
                *("--iptables=false", "--ip-masq=false", "--ip-forward=false"),
            ],
            directory / "dockerd.log",
            {"PATH": _DAEMON_PATH, "HOME": str(directory), "TMPDIR": home},
            grace=_STOP_SECONDS,
        )
        try:
            process.wait_until_ready(lambda: _answers(host), _START_SECONDS)
            yield Docker(host, "a daemon of this run's own")
        finally:
            process.stop()
            if not had_bridge:
                _remove_bridge()
            mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if home in line]
            if left := mounts + ([_BRIDGE] if _has_bridge() and not had_bridge else []):
                raise DockerError(f"dockerd left behind: {', '.join(left)}")


def need_busybox() -> Path:
    """Statically linked busybox, installed if it is missing."""
    for _ in range(2):
        found = shutil.which("busybox")
        if found and "statically linked" in _linkage(Path(found)):
            return Path(found)
        _install("busybox-static")
    raise DockerError("busybox-static is installed, and still there is no busybox without libraries on the PATH")


def _answering() -> str | None:
    """Host of a running Docker, from `DOCKER_HOST` or the current context; `None` if none answers."""
    if shutil.which("docker") is None:
        return None
    try:
        host = os.environ.get("DOCKER_HOST") or _docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    except DockerError:
        return None
    return host if _answers(host) else None


def _answers(host: str) -> bool:
    try:
        _docker("version", "--format", "{{.Server.Version}}", variables={"DOCKER_HOST": host})
    except DockerError:
        return False
    return True


def _docker(
    *arguments: str,
    content: bytes | None = None,
    seconds: float = _ANSWER_SECONDS,
    variables: dict[str, str] | None = None,
) -> str:
    what = f"docker {arguments[0]}"
    given = {"stdin": subprocess.DEVNULL} if content is None else {"input": content}
    try:
        ended = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **(variables or {})},
            capture_output=True,
            timeout=seconds,
            check=False,
            **given,
        )
    except subprocess.TimeoutExpired:
        raise DockerError(f"{what} took longer than {seconds:.0f} s") from None
    if ended.returncode != 0:
        raise DockerError(f"{what}: {ended.stderr.decode(errors='replace').strip() or 'failed'}")
    return ended.stdout.decode(errors="replace").strip()


def _install(package: str) -> None:
    """Install a system package."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise DockerError(f"{package} is missing. Install it, for example with: apt-get install {package}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        ended = subprocess.run(["apt-get", *command], env=environment, capture_output=True, check=False)
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).decode(errors="replace").strip()
            raise DockerError(f"{package} is missing, and apt-get {command[0]} failed: {said}")


# The stand-in image ---------------------------------------------------------------------------------------------------


def _root_file_system(binary: Path) -> bytes:
    """Tar archive with what `binary` needs, and the commands by which sam local adds its emulator."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for directory, mode in (("tmp", 0o1777), ("etc", 0o755), ("var/task", 0o755), ("var/rapid", 0o755)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        archive.add(need_busybox().resolve(), "bin/busybox")
        for command in ("sh", "mv", "chmod", "cp", "rm"):
            entry = tarfile.TarInfo(f"bin/{command}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
        for library in _libraries(binary):
            archive.add(library.resolve(), str(library).lstrip("/"))
        certificates = next((Path(path) for path in _CERTIFICATES if Path(path).is_file()), None)
        if certificates is not None:
            for path in _CERTIFICATES:
                archive.add(certificates.resolve(), path.lstrip("/"))
    return content.getvalue()


def _libraries(binary: Path) -> list[Path]:
    """Shared libraries that a binary is linked to, its loader included."""
    words = _linkage(binary).split()
    return sorted({Path(word) for word in words if word.startswith("/") and Path(word).is_file()})


def _linkage(binary: Path) -> str:
    ended = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    return "statically linked" if "not a dynamic executable" in ended.stderr else ended.stdout


# The bridge -----------------------------------------------------------------------------------------------------------


def _has_bridge() -> bool:
    return _BRIDGE in (name for _, name in socket.if_nameindex())


def _remove_bridge() -> None:
    """Remove the network interface that a daemon leaves behind: take it down, then delete it."""
    set_interface_flags, delete_bridge = 0x8914, 0x89A1
    with suppress(OSError), socket.socket() as any_socket:
        name = _BRIDGE.encode()
        fcntl.ioctl(any_socket, set_interface_flags, struct.pack("16sH14x", name, 0))
        fcntl.ioctl(any_socket, delete_bridge, struct.pack("16s", name))
