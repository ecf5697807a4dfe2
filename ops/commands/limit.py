"""``sluice limit``: what callers may ask, told or changed in a running service."""

from __future__ import annotations

import argparse
from typing import Final

from sluice.ops.control.client import Client
from sluice.ops.control.limits import KINDS
from sluice.ops.control.protocol import LimitsSet, SetLimit
from sluice.ops.control.views import limits_line

from .operating import DONE, add_common_arguments, run_with_client, show

_SAYS: Final = """\
Tells the limits in force, or changes one until the service ends or a reloaded configuration says
something else of it, in all its processes; workers that are started later have it too. What a
caller has asked already counts, unless the window is another. A token with a limit of its own
keeps that.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice limit``."""
    parser.description = _SAYS
    parser.add_argument("kind", metavar="KIND", nargs="?", choices=KINDS, help="ip, user or token")
    parser.add_argument(
        "rate",
        metavar="RATE",
        nargs="?",
        help="50/minute (second, hour, day), off, or configured: what the configuration says",
    )
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them."""

    async def talk(client: Client) -> int:
        done: LimitsSet = await client.ask(SetLimit, kind=arguments.kind, rate=arguments.rate)
        before = f" (it was {limits_line(done.before)})" if done.before != done.limits else ""
        missed = f"; {', '.join(done.missed)} did not answer, and will hear it"
        line = f"limits: {limits_line(done.limits)}{before}{missed if done.missed else ''}"
        show(arguments, done, [line])
        return DONE

    return run_with_client(arguments, talk)
