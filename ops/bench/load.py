"""wrk: the load under which processor time is measured. Every answer is checked by its script."""

from __future__ import annotations

import http.client

import msgspec

from . import chunks
from .contestants import Address
from .fill import filled
from .programs import Ground, find, run_to_end

CONNECTIONS = 64
"""Concurrent requests, on as many kept connections."""

_SLACK = 40.0
_ANSWER_WITHIN = 30


class Load(msgspec.Struct, frozen=True):
    """What wrk saw. ``errors``: of sockets; ``broken``: answers that were no whole 200."""

    requests: int
    microseconds: int
    bytes: int
    errors: int
    broken: int

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / (self.microseconds / 1e6)


class LoadError(Exception):
    """A load that did not go through as it must, so that its figures mean nothing."""


def installed() -> str:
    """The path of wrk; `MissingError` if it is not installed."""
    return find("wrk", "wrk")


def run(address: Address, ground: Ground, seconds: float) -> Load:
    """Load ``address`` for ``seconds`` (at least one) from the load's core.

    Raises `LoadError` unless every answer was a whole 200.
    """
    script = ground.folder / "load.lua"
    script.write_text(filled("load.lua", body=chunks.request_body(address.model).decode()))
    argv = [
        *(installed(), "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s"),
        *("--timeout", f"{_ANSWER_WITHIN}s", "-s", str(script), address.url),
    ]
    load = parse(run_to_end(argv, ground, ground.load_core, seconds + _SLACK).decode())
    if load.errors or load.broken or not load.requests:
        raise LoadError(
            f"{address.url}: of {load.requests} answers, {load.broken} were not whole 200s, "
            f"and {load.errors} connections failed"
        )
    return load


def parse(output: str) -> Load:
    """The line of JSON that our script has wrk print at its end."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError(f"wrk did not report: {output.strip()}")
    try:
        return msgspec.json.decode(lines[-1], type=Load)
    except msgspec.DecodeError as error:
        raise LoadError(f"wrk's report is not understood: {error}") from error


def probe(address: Address) -> None:
    """Ask once and read all of it: raises `LoadError` unless it is the upstream's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=_ANSWER_WITHIN)
    try:
        body = chunks.request_body(address.model)
        connection.request("POST", address.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"{address.url}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise LoadError(f"{address.url}: {answer.status} {content[:200].decode(errors='replace')}")
    try:
        chunks.check_answer(content)
    except chunks.BrokenAnswerError as error:
        raise LoadError(f"{address.url}: {error}") from error
