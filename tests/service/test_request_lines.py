"""One JSON line a request, whatever becomes of it: as an operator finds them in the log."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.service.world import CHAT, open_world, post, request

from sluice.http.plain_report import plain_report
from sluice.ops import logs
from sluice.ops.config import EdgeLimits
from sluice.ops.lines import small_request_line

LIMITS = EdgeLimits(body=2000, head=4000, head_timeout=0.1, body_timeout=0.1)
OURS = "X-Request-Id: mine-1"
CHUNKED = request("POST", CHAT, "Transfer-Encoding: chunked", OURS)
SECRET = "sk-secret"


@contextmanager
def log_at(level: logs.Level, path: Path) -> Iterator[list[dict[str, Any]]]:
    """A log; the lines of requests are in the list after the block."""
    lines: list[dict[str, Any]] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with logs.open_log(descriptor, level):
        yield lines
    os.close(descriptor)
    told = [json.loads(line) for line in path.read_text().splitlines()]
    lines += [line for line in told if line["event"] == "request"]


@pytest.mark.parametrize(("data", "status", "end"), [
    (f"GET /{SECRET} HTTP/1.1\r\nX-Key: {SECRET}\r\n\r\n".encode(), 400, "bad_request"),
    (b"GET /stream?prompt=sk-secret HTTP/1.1\r\n", 408, "request_timeout"),
    (request("POST", CHAT, "Content-Length: 2001", f"X-Key: {SECRET}"), 413, "body_too_large"),
    (request("POST", CHAT, "Content-Length: 2001", OURS), 413, "body_too_large"),
    (request("POST", CHAT, "Expect: more", OURS), 417, "expectation_failed"),
    (request("GET", f"/stream?prompt={SECRET}{'x' * 9000}"), 414, "url_too_long"),
    (request("POST", CHAT, f"Expect: {SECRET}"), 417, "expectation_failed"),
    (request("POST", CHAT, f"X-Key: {SECRET}{'x' * 5000}"), 431, "head_too_large"),
    (request(SECRET.upper(), f"/{SECRET}"), 501, "not_implemented"),
    (b"GET /stream?prompt=sk-secret HTTP/2.0\r\nHost: x\r\n\r\n", 505, "http_version"),
    (CHUNKED + b"7d1\r\n" + b"x" * 2001 + b"\r\n", 413, "body_too_large"),
    (CHUNKED + b"five\r\n", 400, "bad_request"),
    (CHUNKED + b"5\r\nhe", 408, "request_timeout"),
    (post(CHAT, b"{}"), 400, "missing_required_parameter"),
])  # fmt: skip
async def test_a_refused_request_has_one_line_like_any_other(
    tmp_path: Path, data: bytes, status: int, end: str
) -> None:
    with log_at("info", tmp_path / "log") as lines:
        async with open_world(edge=LIMITS) as world:
            assert (await world.ask("sim-ok", stream=False)).status == 200
            assert (await world.send(data)).status == status
    served, refused = lines
    shape = served.keys() | ({"error_type", "error_stage"} if status < 500 else set())
    if end != "missing_required_parameter":
        shape -= {"caller", "caller_kind"}  # the edge refuses without asking who it is
    assert refused.keys() == shape
    assert (refused["status"], refused["end"], refused["level"]) == (status, end, "info")
    assert SECRET not in json.dumps(refused).lower()
    if b"mine-1" in data:
        assert (refused["request_id"], refused["route"]) == ("mine-1", CHAT)


async def test_the_line_tells_who_asked(tmp_path: Path) -> None:
    with log_at("info", tmp_path / "log") as lines:
        async with open_world() as world:
            assert (await world.ask("sim-ok", stream=False)).status == 200
            assert (await world.send(post(CHAT, b"{}"))).status == 400
    for line in lines:
        assert (line["caller_kind"], line["caller"]) == ("ip", "127.0.0.1")


async def test_small_requests_have_one_line_each_at_level_debug(tmp_path: Path) -> None:
    with log_at("debug", tmp_path / "log") as lines:
        async with open_world() as world:
            assert (await world.ask("sim-ok", stream=False)).status == 200
            for path, status in [("/health", 200), ("/v1/models", 200), ("/sk-secret?a=b", 404)]:
                assert (await world.get(path)).status == status
    # What is not a stream's goes through structlog, which the world listens to.
    small = [line for line in world.logged if line["event"] == "request"]
    assert [line["route"] for line in lines] == [CHAT]
    assert {line["log_level"] for line in small} == {"debug"}
    assert [(line["route"], line["status"]) for line in small[:3]] == [
        ("/health", 200),
        ("/v1/models", 200),
        ("other", 404),
    ]


def test_a_small_request_is_a_line_of_the_same_shape_and_none_above_debug(tmp_path: Path) -> None:
    report = plain_report("mine-1", "/health", 200, "complete", 0.001)
    with log_at("debug", tmp_path / "log") as lines:
        small_request_line(report)
        logs.request_line(report)
    small, other = lines
    assert (small["level"], other["level"]) == ("debug", "info")
    assert list(small) == list(other)
    assert {**small, "timestamp": 0, "level": 0} == {**other, "timestamp": 0, "level": 0}
    with log_at("info", tmp_path / "log") as lines:
        small_request_line(report)
    assert lines == []
