"""``sluice top``: the service as it runs, in a terminal one would like to keep open."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

import trio

from sluice.ops.control.client import Client
from sluice.ops.control.live_view import LiveView, look
from sluice.ops.control.terminal import can_show, open_terminal
from sluice.ops.control.top_view import View, rows_of

from .operating import DONE, REFUSED, add_common_arguments, show, talk_at, tell, the_place

_SAYS = """\
Shows the service as it runs: processes, streams, rates, the time to the first chunk,
providers, the actors of all processes (what is not well, and what is busy, first), and what
has just happened. When the service goes away, it says so, and connects again when it is back.

keys:
  q         quit (so does Ctrl-C)
  space     hold the picture; space again goes on
  up, down  select an actor (k and j do, too)
  r         restart the selected actor; it asks first
  p         pause the selected actor, or end its pause; it asks first
  o         actors in the tree's order, or the most interesting first
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice top``."""
    parser.description = _SAYS
    add_common_arguments(parser)
    parser.add_argument(
        "--once",
        action="store_true",
        help="print one frame as text, and end: for pipes; --json prints it as JSON",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_interval,
        default=1.0,
        help="between two looks, 0.1 to 60 (default: 1)",
    )


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; allowed: 0.1 to 60") from None
    if not 0.1 <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"{text} is out of range; allowed: 0.1 to 60")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them; 130 after Ctrl-C."""
    place = the_place(arguments)
    if place is None:
        return REFUSED
    if arguments.once or arguments.json:
        return trio.run(partial(talk_at, place, partial(_once, arguments)))
    if not (sys.stdin.isatty() and sys.stdout.isatty() and can_show(os.environ.get("TERM"))):
        return tell("top needs a terminal; --once prints one frame without one", REFUSED)
    with open_terminal(sys.stdin.fileno()) as terminal:
        return trio.run(LiveView(place, terminal, arguments.interval).run)


async def _once(arguments: argparse.Namespace, client: Client) -> int:
    """Two looks: there are no rates in one."""
    before = await look(client)
    await trio.sleep(arguments.interval)
    now = await look(client, before)
    show(arguments, now, [row.text for row in rows_of(View(now=now, as_tree=True))])
    return DONE
