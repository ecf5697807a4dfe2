"""What operators' commands share: which service, how it is asked, and what exit codes say."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from sluice.ops.config import ConfigurationError
from sluice.ops.control.client import Client, Gone, NotReachable, open_client
from sluice.ops.control.finding import VARIABLE, find
from sluice.ops.control.place import Place
from sluice.ops.control.protocol import Refused

from .configured import DEFAULT
from .configured import VARIABLE as CONFIG_VARIABLE

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 3

EPILOG: Final = f"""\
which service is meant:
  --control, else ${VARIABLE}, else [control] address of the configuration, else
  control.sock in its [server] data_dir. Over TCP, [control] token is needed.

exit codes:
  0  it was done
  1  it was refused, or failed; standard error says why
  2  the command was called in a way that it does not understand
  3  no service can be reached there
"""

Talk = Callable[[Client], Awaitable[int]]


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """``--control``, ``--config`` and ``--json``, alike for all commands."""
    parser.epilog = EPILOG
    parser.add_argument("--control", metavar="ADDRESS", help="unix:/PATH, or a loopback HOST:PORT")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the service's configuration (default: ${CONFIG_VARIABLE}, else ./{DEFAULT})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def the_place(arguments: argparse.Namespace) -> Place | None:
    """The service that is meant; None after its mistakes went to stderr."""
    file = arguments.config or os.environ.get(CONFIG_VARIABLE)
    if file is None and Path(DEFAULT).exists():
        file = DEFAULT
    try:
        return find(arguments.control or os.environ.get(VARIABLE), file, os.environ)
    except ConfigurationError as problem:
        for mistake in problem.mistakes:
            print(mistake, file=sys.stderr)
        return None


def run_with_client(arguments: argparse.Namespace, talk: Talk) -> int:
    """Connect, let ``talk`` do the command, and return the exit code."""
    place = the_place(arguments)
    if place is None:
        return REFUSED
    return trio.run(partial(talk_at, place, talk))


async def talk_at(place: Place, talk: Talk) -> int:
    """The exit code of ``talk`` with the service at ``place``."""
    try:
        async with open_client(place) as client:
            return await talk(client)
    except NotReachable as problem:
        return tell(problem, UNREACHABLE)
    except Refused as problem:
        return tell(problem, REFUSED)
    except Gone as problem:
        return tell(problem, UNREACHABLE)


def tell(problem: object, code: int) -> int:
    """``code``, after ``problem`` went to standard error."""
    print(f"sluice: {problem}", file=sys.stderr)
    return code


def show(arguments: argparse.Namespace, answer: Any, lines: list[str]) -> None:
    """Print ``answer`` as JSON if that was asked for, else ``lines``."""
    text = msgspec.json.encode(answer).decode() if arguments.json else "\n".join(lines)
    print(text, flush=True)
