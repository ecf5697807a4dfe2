"""``make demo``: a simulated provider and the service in front of it, until Ctrl-C.

Both are started as an operator would start them (``sluice simulate``, ``sluice serve``), in
sessions of their own, so that Ctrl-C reaches this program alone, which ends them in order.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from os import environ
from pathlib import Path
from typing import Final

import trio

CONFIG: Final = Path(__file__).parent / "demo.toml"
START_TIMEOUT: Final = 30.0
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a supervisor's word, a terminal that was closed."""
_LOOK_EVERY: Final = 0.05
_READY: Final = b"GET /health/ready HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"

_GREETING: Final = """
Sluice is on http://{address}. Try it from another terminal:

  curl -N http://{address}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "sim-ok", "stream": true, "messages": [{{"role": "user", "content": "Hi"}}]}}'

  curl -N 'http://{address}/stream?model=sim-long&prompt=Hi'
  curl http://{address}/metrics

Other models misbehave on request: sim-cut, sim-stall, sim-429, sim-503 ...
Ctrl-C ends it.
"""


class DemoError(Exception):
    """Why the demo cannot run, in words for whoever started it."""


def main(environment: Mapping[str, str] = environ) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP. Exit code 0 after those, 1 when something failed."""
    said: list[str] = []
    try:
        trio.run(run, dict(environment))
    except* DemoError as problems:
        said = [f"demo: {problem}" for problem in _flat(problems)]
    print("\n".join(said), end="\n" if said else "", file=sys.stderr)
    return 1 if said else 0


def _flat(problem: BaseException) -> Iterator[BaseException]:
    """The problems in a group, and in the groups in it."""
    if isinstance(problem, BaseExceptionGroup):
        for inner in problem.exceptions:
            yield from _flat(inner)
    else:
        yield problem


async def run(environment: dict[str, str]) -> None:
    """Start both, greet, and wait for a signal or for one of them to end."""
    address = environment.get("SLUICE_SERVER__BIND") or _configured_address()
    if not _is_free(address):
        raise DemoError(
            f"{address} is taken; SLUICE_SERVER__BIND=127.0.0.1:8001 make demo takes another"
        )
    port = _free_port()
    base_url = f"http://127.0.0.1:{port}/v1"
    environment = {"SLUICE_PROVIDERS__SIMULATOR__BASE_URL": base_url, **environment}
    simulate = ["simulate", "--bind", f"127.0.0.1:{port}", "--delay", "0.03"]
    serve = ["serve", "--config", str(CONFIG)]
    async with trio.open_nursery() as provider:
        provider.start_soon(_program, simulate, environment)
        await _until_connected(f"127.0.0.1:{port}", ready=False)
        async with trio.open_nursery() as service:  # ends first: its streams may end well
            service.start_soon(_until_signal, service.cancel_scope)
            service.start_soon(_program, serve, environment)
            await _until_connected(address, ready=True)
            print(_GREETING.format(address=address), flush=True)
        provider.cancel_scope.cancel()


async def _until_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(*_ENDS) as signals:
        await anext(signals)
    scope.cancel()


async def _program(words: list[str], environment: dict[str, str]) -> None:
    """Run ``sluice`` with ``words``; cancelled, it gets a SIGTERM and five seconds to end."""
    command = [sys.executable, "-m", "sluice.ops.cli", *words]
    await trio.run_process(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
        start_new_session=True,
    )
    raise DemoError(f"`sluice {words[0]}` ended by itself; what it said is above")


async def _until_connected(address: str, *, ready: bool) -> None:
    """Until a connection to ``address`` opens, and with ``ready`` until it says it is."""
    host, _, port = address.rpartition(":")
    with trio.move_on_after(START_TIMEOUT):
        while True:
            with suppress(OSError):
                async with await trio.open_tcp_stream(host.strip("[]"), int(port)) as stream:
                    if not ready or await _says_ready(stream):
                        return
            await trio.sleep(_LOOK_EVERY)
    raise DemoError(f"{address} did not answer within {START_TIMEOUT:g} seconds")


async def _says_ready(stream: trio.SocketStream) -> bool:
    await stream.send_all(_READY)
    return b" 200 " in (await stream.receive_some(64))[:16]


def _configured_address() -> str:
    address: str = tomllib.loads(CONFIG.read_text())["server"]["bind"]
    return address


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(port)))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


if __name__ == "__main__":
    sys.exit(main())
