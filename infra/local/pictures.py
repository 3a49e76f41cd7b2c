"""Pictures of the console's pages.

    python -m infra.local.pictures [--into docs/console] [--binaries target/local]

deploys a stack, plays something of everything on it, failures too, and takes a picture of every page, dark and light,
wide and on a phone, and of what its forms answer.
"""

import argparse
import base64
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from infra.local.console import play, requests, served
from infra.local.deploy import BINARIES
from infra.local.emulator import Emulator
from infra.local.processes import ROOT
from infra.local.stack import create
from infra.local.stand_in import StandIn

CHROMIUM = "/usr/bin/chromium"
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
_MAX_HEIGHT = 2600

# A picture with 48 colours instead of millions is a third as large. The browser has all that it takes.
_SMALLER = """async (png) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
    const {width, height} = image;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    const colours = [...counts].sort((one, other) => other[1] - one[1]).map(([pixel]) => pixel);
    const parts = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
    const palette = colours.slice(0, 24);
    const distance = (one, other) => {
        const [a, b] = [parts(one), parts(other)];
        return a.reduce((sum, part, at) => sum + (part - b[at]) ** 2, 0);
    };
    const apart = (pixel) => Math.min(...palette.map((one) => distance(one, pixel)));
    for (const pixel of colours.slice(24)) {
        if (palette.length < 48 && apart(pixel) > 600) palette.push(pixel);
    }
    const index = new Map();
    for (const pixel of colours) {
        let best = 0;
        palette.forEach((one, at) => { if (distance(one, pixel) < distance(palette[best], pixel)) best = at; });
        index.set(pixel, best);
    }
    const rows = new Uint8Array((width + 1) * height);
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = index.get(pixels[y * width + x]);
    }
    const stream = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
    const data = new Uint8Array(await new Response(stream).arrayBuffer());
    const table = Array.from({length: 256}, (_, at) => {
        for (let bit = 0; bit < 8; bit++) at = at & 1 ? 0xedb88320 ^ (at >>> 1) : at >>> 1;
        return at >>> 0;
    });
    const chunk = (name, content) => {
        const bytes = new Uint8Array(12 + content.length);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, content.length);
        for (let at = 0; at < 4; at++) bytes[4 + at] = name.charCodeAt(at);
        bytes.set(content, 8);
        let crc = 0xffffffff;
        for (const byte of bytes.subarray(4, 8 + content.length)) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
        view.setUint32(8 + content.length, (crc ^ 0xffffffff) >>> 0);
        return bytes;
    };
    const header = new Uint8Array(13);
    const view = new DataView(header.buffer);
    view.setUint32(0, width);
    view.setUint32(4, height);
    header.set([8, 3, 0, 0, 0], 8);
    const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
    const chunks = [chunk("IHDR", header), chunk("PLTE", new Uint8Array(palette.flatMap(parts))), chunk("IDAT", data)];
    const whole = new Blob([signature, ...chunks, chunk("IEND", new Uint8Array())]);
    return await new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result.split(",")[1]);
        reader.readAsDataURL(whole);
    });
}"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield the system's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Every page with its address below the console's."""
    return {
        "overview": "",
        "overview-14d": "?span=14d",
        "events": "/events",
        "failures": "/events?state=failed",
        "events-none": "/events?category=file&type=video.*",
        "event": f"/events/project/{ids['event']}",
        "events-metadata": "/events?since=7d&not.category=realtime&metadata=alias%3Dsupport",
        "event-failed": f"/events/project/{ids['failed']}",
        "dead-letters": "/dead-letters",
        "jobs": "/jobs",
        "batches": "/batches",
        "batch": f"/batches/{ids['batch']}?lines=failed",
        "batch-line": f"/batches/{ids['batch']}?custom_id=request-917",
        "batch-under-way": f"/batches/{ids['under_way']}",
        "submit": "/batches/new",
        "responses": "/objects/response",
        "response": f"/objects/response/{ids['response']}",
        "live-calls": "/calls",
        "live-call": f"/calls/{ids['live_call']}",
        "ended-call": f"/calls/{ids['ended_call']}",
        "call-policy": "/calls/policy?from=%2B4930123456&to=%2B498005550100",
        "calls": "/objects/realtime",
        "call": f"/objects/realtime/{ids['call']}",
        "agents": "/objects/agent",
        "agent": f"/objects/agent/{ids['agent']}",
        "fine-tuning": "/objects/fine-tuning",
        "fine-tuning-job": f"/objects/fine-tuning/{ids['job']}",
        "files": "/objects/file",
        "file": f"/objects/file/{ids['file']}",
        "safety": "/objects/safety",
        "safety-notice": f"/objects/safety/{ids['safety']}",
        "expectations": "/expectations",
        "endpoints": "/endpoints",
        "alerts": "/alerts",
        "api": "/reference",
        "help": "/help",
        "missing": "/events/project/wh_0000",
    }


def acts(page: Page, base: str, ids: dict[str, str]) -> Iterator[str]:
    """Go to what a form answers, and yield its name. Nothing is changed but for a replay of one event."""
    page.goto(f"{base}/batches/new")
    page.fill("#requests", requests(3) + "not JSON\n" + requests(1))
    page.get_by_role("button", name="Check every line").click()
    yield "submit-faults"
    page.fill("#requests", requests(10))
    page.get_by_role("button", name="Check every line").click()
    yield "submit-checked"
    page.goto(f"{base}/batches/{ids['batch']}")
    page.get_by_role("button", name="Retry the marked").click()
    yield "retry"
    page.goto(f"{base}/dead-letters")
    page.get_by_role("button", name="Redrive").first.click()
    yield "redrive"
    page.goto(f"{base}/dead-letters")
    page.get_by_text("Purge", exact=True).first.click()
    page.get_by_role("button", name="Purge").first.click()
    yield "purge"
    page.goto(f"{base}/events/project/{quote(ids['event'])}")
    page.get_by_role("button", name="Replay…").click()
    yield "replay"
    page.get_by_role("button", name="Replay 1 event").click()
    page.get_by_text("1/1 events sent again").wait_for()
    yield "job"


def _picture(page: Page, developing: Page, file: Path) -> None:
    """Write what the page shows."""
    window = page.viewport_size or {"width": 1280, "height": 900}
    height = page.evaluate("document.documentElement.scrollHeight")
    # In a window of the page's height, what sticks to the bottom is at the bottom.
    page.set_viewport_size({"width": window["width"], "height": max(window["height"], min(_MAX_HEIGHT, height))})
    taken = page.screenshot()
    page.set_viewport_size(window)
    file.write_bytes(base64.b64decode(developing.evaluate(_SMALLER, base64.b64encode(taken).decode())))


def _pictures(link: str, ids: dict[str, str], into: Path, readers: str) -> None:
    """Of all pages; those of a reader are by the link `readers`."""
    base = link.partition("/enter?")[0]
    into.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        developing = chromium.new_page()
        state = reader = None
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                options = {
                    "viewport": {"width": width, "height": height},
                    "color_scheme": scheme,
                    "reduced_motion": "reduce",
                    "has_touch": size == "phone",
                }
                context = chromium.new_context(storage_state=state, **options)
                page = context.new_page()
                if state is None:
                    page.goto(link)
                    state = context.storage_state()
                for name, path in pages(ids).items():
                    page.goto(base + path)
                    _picture(page, developing, into / f"{name}-{size}-{scheme}.png")
                for name in acts(page, base, ids):
                    _picture(page, developing, into / f"{name}-{size}-{scheme}.png")
                context.close()
                context = chromium.new_context(storage_state=reader, **options)
                page = context.new_page()
                page.goto(readers)
                if reader is None:
                    reader = context.storage_state()
                else:
                    # The link is used.
                    _picture(page, developing, into / f"used-link-{size}-{scheme}.png")
                page.goto(f"{readers.partition('/enter?')[0]}/dead-letters")
                _picture(page, developing, into / f"read-only-{size}-{scheme}.png")
                context.close()


def main(arguments: list[str]) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.pictures")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "console")
    parser.add_argument("--binaries", type=Path, default=BINARIES)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        Emulator(Path(directory)) as emulator,
        StandIn(Path(directory)) as openai,
    ):
        stack = create(emulator, "production", openai.base_url, binaries=options.binaries)
        stack.fill_secrets()
        stack.subscribe(openai)
        ids = play(stack, openai)
        with served(stack) as link, served(stack, "--read-only") as readers:
            _pictures(link, ids, options.into, readers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
