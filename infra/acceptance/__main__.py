"""Command of `make acceptance`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import dist
from infra.acceptance import __doc__ as about
from infra.acceptance.account import Account, Release, StepError
from infra.acceptance.steps import STEPS
from infra.local.docker import ARCHITECTURE
from infra.local.emulator import ACCESS_KEY, REGION, Emulator
from infra.local.execution import new_directory
from infra.local.processes import ROOT
from infra.local.stand_in import StandIn


def built() -> Release:
    """What `make package-local` has built for this machine."""
    return Release({ARCHITECTURE: ROOT / "target" / "lambda-local"}, ROOT / "target" / "local" / "openai-webhooks")


def unpack(packed: Path, folder: Path) -> Release:
    """Unpack what `make dist` made. Raises `SystemExit` if something of it is missing."""
    name = f"openai-webhooks-{dist.version()}"
    zips = {zipped.stem.removeprefix(f"{name}-"): zipped for zipped in sorted(packed.glob(f"{name}-*.zip"))}
    archive = packed / f"{name}-{dist.platform_name()}.tar.gz"
    if not zips or not archive.is_file():
        raise SystemExit(f"{packed} has no release {name} with the command line of this machine. Make it: make dist")
    for zipped in zips.values():
        # Python's own module would not make the functions executable.
        subprocess.run(["unzip", "-q", zipped, "-d", folder], check=True)
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    command_line = folder / archive.name.removesuffix(".tar.gz") / "openai-webhooks"
    return Release({architecture: folder / zipped.stem for architecture, zipped in zips.items()}, command_line)


def run(account: Account) -> int:
    """Play all steps, remove everything, and return the exit code."""
    failures = 0
    try:
        for step in STEPS:
            try:
                if (why := step.left_out(account)) is not None:
                    print(f"-       {step.title}: {why}", flush=True)
                else:
                    print(f"ok      {step.title}: {step.play(account)}", flush=True)
            except (StepError, ClientError, BotoCoreError) as error:
                failures += 1
                print(f"FAILED  {step.title}: {error}", flush=True)
    finally:
        left = account.remove()
        if left:
            print(f"FAILED  Removal: still there, remove it by hand: {', '.join(left)}", flush=True)
        else:
            print(f"ok      Removal: nothing is left of {account.name}", flush=True)
    return 1 if failures or left else 0


@contextmanager
def _local(release: Release) -> Iterator[Account]:
    with ExitStack() as running:
        directory = new_directory("acceptance-")
        running.callback(shutil.rmtree, directory, ignore_errors=True)
        emulator = running.enter_context(Emulator(directory))
        openai = running.enter_context(StandIn(directory))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": emulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        }
        session = boto3.Session(ACCESS_KEY, ACCESS_KEY, region_name=REGION)
        yield Account(session, environment, release, {"OpenAIBaseUrl": openai.base_url}, directory, is_local=True)


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.acceptance", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--dist", type=Path, help="folder that `make dist` made, for an account")
    where.add_argument("--local", action="store_true", help="the debug build, with ministack and the OpenAI stand-in")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--domain", help="host name, such as webhooks.example.com")
    parser.add_argument("--zone", help="hosted zone of the domain, at Route 53")
    options = parser.parse_args(arguments)
    if (options.domain is None) != (options.zone is None):
        parser.error("--domain and --zone belong together")
    # TERM ends it as Ctrl-C does: everything is removed first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.local:
        with _local(built()) as account:
            return run(account)
    with tempfile.TemporaryDirectory() as folder:
        release = unpack(options.dist, Path(folder))
        session = boto3.Session(region_name=options.region)
        try:
            identity = session.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise SystemExit(f"No access to AWS: {error} Sign in, or set AWS_PROFILE.") from None
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
        domain = (options.domain, options.zone) if options.domain is not None else None
        account = Account(
            session,
            environment,
            release,
            {},
            Path(folder),
            is_local=False,
            openai_key=os.environ.get("OPENAI_API_KEY"),
            domain=domain,
        )
        print(f"Stack {account.name} in {options.region} of the account {identity['Account']}, as {identity['Arn']}.")
        return run(account)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
