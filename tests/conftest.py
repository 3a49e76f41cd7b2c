"""The fixtures of the end-to-end tests: an AWS, an OpenAI and a stack of one's own.

    def test_keeps_what_succeeded(stack: Stack, openai: StandIn, watch: Watch) -> None:
        deliveries = openai.deliver("batch.completed", {"id": batch.id})
        wait_until("the batch is recorded", lambda: stack.job("batch", batch.id))

- `emulator`: ministack, one per test process.
- `openai`: a stand-in of this test's own, so its files, faults and call counts are nobody else's.
- `stack`: the deployed template under a name of this test's own, its secrets set, both its endpoints registered with
  `openai`. Other parameters: `@pytest.mark.stack(BatchTimeout="30")`.
- `watch`: the outcomes and the alerts of `stack`. Every outcome is checked against its schema.
- `registering`: a stack that registers its endpoint at `openai` by itself, deployed when the test says so.
- `make_stack`: further stacks, or one without secrets.
- `chromium`: the system's browser, one per file.
- `console`: a stack that is filled, and its console, one per file: a test acts on something of its own, or changes
  nothing that another one counts.

When a test fails, its report has the logs of its stacks' functions and of its stand-in.
"""

import re
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, expect

from infra.local.deploy import functions
from infra.local.emulator import Emulator
from infra.local.pictures import browser
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests import schemas
from tests.consoles import Opened, opened
from tests.registering import Registering
from tests.waiting import DEFAULT_TIMEOUT_SECONDS

_LOG_TAIL_LINES = 200


class MakeStack(Protocol):
    """Deploys a stack for this test and deletes it afterwards."""

    def __call__(
        self,
        openai: StandIn | None = None,
        *,
        fill_secrets: bool = True,
        template: dict[str, Any] | None = None,
        **parameters: str,
    ) -> Stack:
        """Deploy a stack that calls `openai`, by default the test's own, which delivers to it.

        Without `fill_secrets` they stay unset, and nothing is registered. `template` stands in for the repository's.
        """


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "stack(**parameters): parameters of the template for the `stack` fixture")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """AWS, played by ministack; one per test process."""
    with Emulator(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[StandIn]:
    """OpenAI, played by a stand-in of this test's own."""
    with StandIn(tmp_path) as started:
        yield started


@pytest.fixture
def make_stack(emulator: Emulator, openai: StandIn, request: pytest.FixtureRequest) -> Iterator[MakeStack]:
    """Deploys stacks of this test's own."""
    made: list[Stack] = []

    def make(
        other: StandIn | None = None,
        *,
        fill_secrets: bool = True,
        template: dict[str, Any] | None = None,
        **parameters: str,
    ) -> Stack:
        called = other or openai
        stack = create(emulator, _name(request.node.name), called.base_url, parameters, template=template)
        made.append(stack)
        if fill_secrets:
            stack.fill_secrets()
            stack.subscribe(called)
        return stack

    request.node.stash[_STACKS] = made
    request.node.stash[_STAND_IN] = openai
    yield make
    for stack in made:
        stack.delete()


@pytest.fixture
def stack(make_stack: MakeStack, request: pytest.FixtureRequest) -> Stack:
    """The deployed template, with its secrets set and both endpoints registered."""
    marker = request.node.get_closest_marker("stack")
    return make_stack(**(marker.kwargs if marker else {}))


@pytest.fixture
def registering(emulator: Emulator, openai: StandIn, make_stack: MakeStack) -> Iterator[Registering]:
    """A stack of this test's own, deployed by the test, and gone before OpenAI is."""
    registering = Registering(emulator, openai, make_stack)
    yield registering
    openai.clear_faults()
    registering.delete()


@pytest.fixture
def watch(stack: Stack) -> Iterator[Watch]:
    """What `stack` tells the world. In the end, every outcome must be as `docs/outcomes` has it."""
    watch = Watch(stack)
    yield watch
    assert [fault for outcome in watch.outcomes() for fault in schemas.faults(outcome)] == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's browser."""
    expect.set_options(timeout=DEFAULT_TIMEOUT_SECONDS * 1000)
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def console(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Opened]:
    """A console that all tests of a file share."""
    with opened(emulator, tmp_path_factory.mktemp("console"), chromium) as found:
        yield found


# What a failing test shows ------------------------------------------------------------------------------------------

_STACKS = pytest.StashKey[list[Stack]]()
_STAND_IN = pytest.StashKey[StandIn]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs to the report of a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        for stack in item.stash.get(_STACKS, []):
            for function in functions():
                lines = stack.logs(function)[-_LOG_TAIL_LINES:]
                report.sections.append((f"log of {stack.name}-{function}", "\n".join(lines)))
        if (stand_in := item.stash.get(_STAND_IN, None)) is not None:
            lines = stand_in.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            report.sections.append(("log of the OpenAI stand-in", "\n".join(lines)))
    return report


def _name(test: str) -> str:
    """A stack name that tells its test, that nobody else has, and that leaves room for the queues' suffixes."""
    words = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower())[:24].strip("-")
    return f"t-{words}-{uuid.uuid4().hex[:8]}"
