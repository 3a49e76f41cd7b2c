"""The stand-in as a command: start, stop, and the errors of a failed start."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from infra.local.stand_in import BINARY, StandIn
from tests.waiting import wait_until


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_port_in_use_is_reported_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        output, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert output == ""
    assert "is in use" in errors
    assert "--listen" in errors


def test_a_port_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    process = start("--listen", "127.0.0.1:0", "--port-file", tmp_path / "nowhere" / "port")
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "nowhere/port" in errors


@pytest.mark.parametrize("factor", ["0", "-1", "2", "soon"])
def test_a_retry_factor_that_shortens_nothing_is_refused(factor: str) -> None:
    process = start("--listen", "127.0.0.1:0", f"--retry-factor={factor}")
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "--retry-factor" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_even_while_an_answer_stalls(tmp_path: Path, number: signal.Signals) -> None:
    port_file = tmp_path / "port"
    process = start("--listen", "127.0.0.1:0", "--port-file", port_file)
    try:
        wait_until("the port is known", port_file.exists)
        with socket.create_connection(("127.0.0.1", int(port_file.read_text()))) as connection:
            fault = b'{"route": "GET /v1/files", "fault": {"kind": "stall"}}'
            head = b"POST /_control/faults HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            connection.sendall(head + b"content-length: %d\r\n\r\n" % len(fault) + fault)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            connection.sendall(b"GET /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-local\r\n\r\n")
            process.send_signal(number)
            assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.communicate()


def test_two_run_beside_each_other_and_know_nothing_of_each_other(openai: StandIn, tmp_path: Path) -> None:
    with StandIn(tmp_path / "other") as other:
        file = other.sdk().files.create(file=b"x", purpose="user_data")
        assert [listed.id for listed in other.sdk().files.list()] == [file.id]
        assert openai.sdk().files.list().data == []
