"""`make dist`: what a person gets who has no Rust, deployed as the docs say."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from infra import dist
from infra.local.docker import ARCHITECTURE
from infra.local.emulator import ACCESS_KEY, REGION, Emulator
from infra.local.processes import ROOT
from infra.local.stand_in import StandIn
from tests.test_make_deploy import NAME, found, made, stack_of
from tests.waiting import wait_until

_SECONDS = 300


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Folder that `make dist` made, of this platform and in debug profile."""
    made(["dist", f"DIST={tmp_path / 'dist'}"], {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    return tmp_path / "dist"


def sam_alone(folder: Path) -> str:
    """A PATH with SAM and the system's programs, and without Rust."""
    (folder / "bin").mkdir()
    (folder / "bin" / "sam").symlink_to(Path(sys.executable).with_name("sam"))
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    assert shutil.which("cargo", path=path) is None
    return path


def test_a_person_without_rust_deploys_from_the_zip(
    packed: Path, emulator: Emulator, openai: StandIn, tmp_path: Path
) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=packed, check=True, capture_output=True)
    name = f"openai-webhooks-{dist.version()}-{ARCHITECTURE}"
    empty = tmp_path / "empty"
    empty.mkdir()
    subprocess.run(["unzip", "-q", packed / f"{name}.zip"], cwd=empty, check=True)
    assert not os.access(empty / name / "Cargo.toml", os.F_OK)

    deployed = subprocess.run(
        ["sam", "deploy", "--no-confirm-changeset"],
        cwd=empty / name,
        env={
            "PATH": sam_alone(tmp_path),
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ENDPOINT_URL": emulator.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    try:
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        assert found(emulator)["StackStatus"] == "CREATE_COMPLETE"
        stack = stack_of(emulator)
        stack.fill_secrets()
        stack.subscribe(openai)
        (delivery,) = openai.deliver("video.completed", {"id": "video_1"}, wait=True)
        wait_until(
            "the event is handled", lambda: (stack.event(delivery["webhook_id"]) or {}).get("state") == "completed"
        )
    finally:
        emulator.client("cloudformation").delete_stack(StackName=NAME)


def test_the_command_line_comes_with_completions_and_pages(packed: Path, tmp_path: Path) -> None:
    (archive,) = packed.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "cli", filter="data")
    (folder,) = (tmp_path / "cli").iterdir()
    said = subprocess.run([folder / "openai-webhooks", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"openai-webhooks {dist.version()}"
    assert (folder / "man" / "man1" / "openai-webhooks-events-list.1").is_file()
    assert {path.parent.name for path in (folder / "completions").rglob("*openai-webhooks*") if path.is_file()} == {
        "bash",
        "zsh",
        "fish",
    }


def test_equal_input_makes_equal_archives(tmp_path: Path, packed: Path) -> None:
    (zipped,) = packed.glob("*.zip")
    (archive,) = packed.glob("*.tar.gz")
    again = dist.pack_stack(tmp_path / zipped.name, ARCHITECTURE, ROOT / "target" / "lambda-local")
    assert again.read_bytes() == zipped.read_bytes()
    once_more = dist.pack_command_line(tmp_path / archive.name, ROOT / "target" / "local" / "openai-webhooks")
    assert once_more.read_bytes() == archive.read_bytes()
