"""wrk: the load under which processor time is measured. Every answer is checked by its script."""

from __future__ import annotations

import http.client
from collections.abc import Sequence

import msgspec

from . import chunks
from .contestants import Address
from .fill import filled
from .programs import Ground, find, run_to_end

CONNECTIONS = 64
"""Concurrent requests, on as many kept connections."""

_SLACK = 40.0
_ANSWER_WITHIN = 30
_DELAY = "function delay() return math.random(0, %d) end"


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


class Asking(msgspec.Struct, frozen=True):
    """What is asked, and how it is seen that an answer is whole."""

    body: bytes
    mark: str
    """Stands at the end of a whole answer."""
    tail: int
    """Within so many bytes of it."""
    tokens: Sequence[str] = ()
    """Of which each request bears the next one; none: no request bears one."""
    connections: int = CONNECTIONS
    pause: int = 0
    """Milliseconds, at random up to that, before each request: so that streams lose their step."""


class LoadError(Exception):
    """A load that did not go through as it must, so that its figures mean nothing."""


def installed() -> str:
    """The path of wrk; `MissingError` if it is not installed."""
    return find("wrk", "wrk")


def plain(address: Address, tokens: Sequence[str] = ()) -> Asking:
    """What is asked nearly everywhere: the answer of `chunks`, in OpenAI's format."""
    return Asking(chunks.request_body(address.model), f"data: {chunks.DONE}", 20, tokens)


def run(address: Address, ground: Ground, seconds: float, asking: Asking | None = None) -> Load:
    """Load ``address`` for ``seconds`` (at least one) from the load's core.

    Raises `LoadError` unless every answer was a whole 200.
    """
    asking = plain(address) if asking is None else asking
    file = ground.folder / f"load-{address.port}.lua"
    file.write_text(script(asking))
    argv = [
        *(installed(), "-t1", f"-c{asking.connections}", f"-d{max(1, round(seconds))}s"),
        *("--timeout", f"{_ANSWER_WITHIN}s", "-s", str(file), address.url),
    ]
    load = parse(run_to_end(argv, ground, ground.load_core, seconds + _SLACK).decode())
    if load.errors or load.broken or not load.requests:
        raise LoadError(
            f"{address.url}: of {load.requests} answers, {load.broken} were not whole 200s, "
            f"and {load.errors} connections failed"
        )
    return load


def script(asking: Asking) -> str:
    """What wrk is told to do, in Lua."""
    return filled(
        "load.lua",
        body=asking.body.decode(),
        mark=asking.mark,
        tail=asking.tail,
        tokens=", ".join(f'"{token}"' for token in asking.tokens),
        delay=_DELAY % asking.pause if asking.pause else "",
    )


def parse(output: str) -> Load:
    """The line of JSON that our script has wrk print at its end."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError(f"wrk did not report: {output.strip()}")
    try:
        return msgspec.json.decode(lines[-1], type=Load)
    except msgspec.DecodeError as error:
        raise LoadError(f"wrk's report is not understood: {error}") from error


def probe(address: Address, asking: Asking | None = None) -> None:
    """Ask once and read all of it: raises `LoadError` unless it is the upstream's answer."""
    try:
        chunks.check_answer(ask(address, plain(address) if asking is None else asking))
    except chunks.BrokenAnswerError as error:
        raise LoadError(f"{address.url}: {error}") from error


def ask(address: Address, asking: Asking) -> bytes:
    """Ask once: the body of the answer. Raises `LoadError` unless it is a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=_ANSWER_WITHIN)
    headers = {"Content-Type": "application/json"}
    if asking.tokens:
        headers["Authorization"] = f"Bearer {asking.tokens[0]}"
    try:
        connection.request("POST", address.path, asking.body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"{address.url}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise LoadError(f"{address.url}: {answer.status} {content[:200].decode(errors='replace')}")
    return content
