"""The operators' commands in a thread of this process: a start of Python less for each."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.service.operators_world import PATIENCE

from sluice.ops import cli

LONG = {"SLUICE_TIMEOUTS__HEARTBEAT": "600", "SLUICE_TIMEOUTS__IDLE": "900"}
"""For streams that are held for as long as commands take: nothing else is said meanwhile."""


class Commands:
    """``sluice`` with the configuration of one service; one command at a time."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = config
        self._capsys = capsys

    async def run(self, *words: str) -> tuple[int, str, str]:
        """The exit code, and what went to standard output and error."""
        self._capsys.readouterr()
        command = partial(cli.main, [*words, "--config", str(self._config)])
        with trio.fail_after(PATIENCE):
            code = await trio.to_thread.run_sync(command, abandon_on_cancel=True)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    async def done(self, *words: str) -> str:
        """What a command says that succeeds."""
        code, out, err = await self.run(*words)
        assert (code, err) == (0, ""), (words, err)
        return out

    async def json(self, *words: str) -> dict[str, Any]:
        """What it says with ``--json``."""
        answer: dict[str, Any] = msgspec.json.decode(await self.done(*words, "--json"))
        return answer

    async def refused(self, *words: str) -> str:
        """Why a command is refused."""
        code, out, err = await self.run(*words)
        assert (code, out) == (1, ""), (words, out)
        return err

    async def eventually(self, *words: str) -> str:
        """What a command says, as soon as it succeeds."""
        with trio.fail_after(PATIENCE):
            while True:
                code, out, _ = await self.run(*words)
                if code == 0:
                    return out
                await trio.sleep(0.05)
