"""A worker that behaves as its argument says; it appends ``pid`` lines to a file."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import trio
from tests.engine.programs.messages import PROTOCOL, Echo, Echoer

from sluice.engine import ChildSpec, SupervisorSpec, join, open_system


async def main(manner: str) -> None:
    if manner == "hang":
        time.sleep(60)  # noqa: ASYNC251 -- blocking is its part
    if manner == "fail":
        sys.exit(3)
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    root = SupervisorSpec("root", [ChildSpec("echoer", Echoer)])
    async with join(PROTOCOL) as joined, open_system(root, links=joined.links) as system:
        if manner == "mute":
            await trio.sleep(60)
        if manner == "asks":
            await system.ref(f"here@{joined.parent}").ask(Echo("from on start"))
        joined.ready()
        seconds = await joined.wait_stop()
        if manner in ("stubborn", "deaf"):
            await trio.sleep(60)
        if manner == "slow":
            await trio.sleep(seconds / 2)
        system.ref(f"here@{joined.parent}").tell_nowait(Echo("farewell"))


if __name__ == "__main__":
    assert Path(__file__).exists()
    trio.run(main, sys.argv[1])
