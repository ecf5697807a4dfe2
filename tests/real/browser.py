"""Chromium without a window, and a little server with the page that it opens.

The page posts what it saw to ``/result`` of that server, so the test needs no other way in.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from sluice.actors.streams.pump import EpollPoller, Pump
from sluice.http.asgi import Receive, Scope, Send, answer
from sluice.http.edge_settings import EdgeSettings
from sluice.http.json_body import read_body
from sluice.http.server import bind, serve

CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
]


class Page:
    """One page and what it posts."""

    def __init__(self, html: str) -> None:
        self._html = html.encode()
        self._results, self.results = trio.open_memory_channel[Any](16)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["path"] == "/result":
            body = await read_body(receive, 1_000_000)
            await answer(send, 204, [])
            await self._results.send(msgspec.json.decode(body))
        elif scope["path"] == "/":
            await answer(send, 200, [(b"content-type", b"text/html; charset=utf-8")], self._html)
        else:
            await answer(send, 404, [])


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


@asynccontextmanager
async def open_page(page: Page) -> AsyncIterator[str]:
    """The page's origin, served for the time of the block."""
    listening = bind(["127.0.0.1:0"], 16)
    pump = Pump(EpollPoller, _raise)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        settings = EdgeSettings(drain=0.1)
        await nursery.start(functools.partial(serve, page, listening, settings, pump))
        yield f"http://127.0.0.1:{listening[0].getsockname()[1]}"
        nursery.cancel_scope.cancel()


def _raise(fault: BaseException) -> None:
    raise fault


@asynccontextmanager
async def open_browser(url: str, profile: Path) -> AsyncIterator[None]:
    """Chromium with ``url`` open, for the time of the block."""
    command = [*CHROMIUM, f"--user-data-dir={profile}", "--remote-debugging-port=0", url]
    with (profile.parent / "chromium.log").open("wb") as log:
        run = functools.partial(
            trio.run_process, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            yield
            nursery.cancel_scope.cancel()  # trio ends it: SIGTERM, five seconds, SIGKILL
