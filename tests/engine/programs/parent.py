"""A parent of two workers: tells their process ids, one a line, and waits to be killed."""

from __future__ import annotations

import sys

import trio
from tests.engine.programs.messages import PROTOCOL, Block, Who

from sluice.engine import Links, ProcessSpec, SupervisorSpec, open_system


async def main() -> None:
    links = Links("parent", PROTOCOL)
    names = ["idle", "blocked"]
    worker = [sys.executable, "-m", "tests.engine.programs.worker", "good"]
    root = SupervisorSpec(
        "root", [ProcessSpec(name, worker).child(links, start_timeout=30) for name in names]
    )
    async with open_system(root, links=links) as system:
        for name in names:
            pid: int = await system.ref(f"echoer@{name}").ask(Who())
            print(pid, flush=True)  # noqa: T201 -- its part
        system.ref("echoer@blocked").tell_nowait(Block(60))
        await trio.sleep(0.3)
        print("blocked", flush=True)  # noqa: T201 -- its part
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
