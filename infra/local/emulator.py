"""AWS emulator: ministack on the loopback device."""

import json
import os
import random
import shutil
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from infra.local.processes import Process, require_free

REGION = "us-east-1"
ACCESS_KEY = "test"
"""Key and secret of the account's root user. The functions get credentials of their own roles."""

_START_TIMEOUT_SECONDS = 60.0


class Emulator:
    """Private ministack with its own port, data and log. It enforces IAM policies."""

    def __init__(self, directory: Path, port: int | None = None, *, bind: str = "127.0.0.1") -> None:
        """Start it, with everything it writes under `directory`. Containers reach it when `bind` is `0.0.0.0`.

        Raises `StartError` if it fails to start, or if `port` is in use.
        """
        self.port = port if port is not None else free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "ministack.log"
        self._clients: dict[str, Any] = {}
        if port is not None:
            require_free(port)
        self._scratch = scratch = directory / "ministack"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        self._process = Process(
            "ministack",
            [sys.executable, "-m", "infra.local.emulator_server"],
            self.log,
            # Of the caller's environment only the path, because the functions inherit this.
            {
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(scratch),
                "TMPDIR": str(scratch),
                "STATE_DIR": str(scratch / "state"),
                "S3_DATA_DIR": str(scratch / "s3"),
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": bind,
                "MINISTACK_HOST": "127.0.0.1",
                "MINISTACK_REGION": REGION,
                "AWS_ENDPOINT_URL": self.endpoint_url,
                "AUTH": "true",
                "LAMBDA_EXECUTOR": "local",
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
            },
        )
        try:
            self._process.wait_until_ready(self._healthy, _START_TIMEOUT_SECONDS)
        except BaseException:
            self.stop()
            raise

    def client(self, service: str) -> Any:
        """Cached boto3 client of the service, as the account's root user."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint_url,
                region_name=REGION,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=ACCESS_KEY,
                # No retries: the network cannot fail, and a test wants an error at once.
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
            )
        return self._clients[service]

    def messages(self, queue_url: str) -> list[dict[str, Any]]:
        """Messages of a queue, invisible ones included, without receiving them."""
        query = urllib.parse.urlencode({"QueueUrl": queue_url})
        with _OPENER.open(f"{self.endpoint_url}/_ministack/sqs/messages?{query}", timeout=10) as response:
            accounts = json.load(response)["messages"]
        return [
            message
            for regions in accounts.values()
            for queues in regions.values()
            for messages in queues.values()
            for message in messages
        ]

    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.running()

    def stop(self) -> None:
        """Stop it with every function it runs, and remove its data. The log stays."""
        self._process.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _healthy(self) -> bool:
        try:
            with _OPENER.open(f"{self.endpoint_url}/_ministack/health", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """Port that nobody listens on.

    It is below those that kernels give to outgoing connections, so that none takes it before its server starts.
    """
    while True:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
