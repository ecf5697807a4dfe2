"""The program of a worker process: how it ends when it cannot go on."""

from __future__ import annotations

import json
import os

import pytest
import trio

from sluice.engine import EngineError, LinkLost
from sluice.ops import logs, member
from sluice.ops.config import Config


def end_of(error: EngineError, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code of a worker that ends with ``error``, and what it logs."""

    async def fail(_config: Config) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    monkeypatch.setattr(member, "_run", fail)
    reading, writing = os.pipe()
    with os.fdopen(reading) as told:
        with os.fdopen(writing, "wb") as log, logs.open_log(log.fileno(), "info"):
            code = trio.run(member._serve, Config())
        return code, told.read()


def test_a_worker_that_has_lost_its_host_says_so_in_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, told = end_of(LinkLost("the link to host has ended: silence"), monkeypatch)
    line = json.loads(told)
    assert code == 1
    assert (line["level"], line["event"]) == ("warning", "the worker has lost its host")
    assert line["reason"] == "the link to host has ended: silence"
    assert "Traceback" not in told


def test_a_worker_that_fails_otherwise_logs_where_it_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, told = end_of(EngineError("wrong"), monkeypatch)
    line = json.loads(told)
    assert code == 1
    assert (line["level"], line["event"]) == ("error", "the worker cannot go on")
    assert "Traceback" in told
