"""``sluice events | drain | log-level``: what happens, the orderly end, the log."""

from __future__ import annotations

import argparse
from typing import Final

import trio

from sluice.ops.control.client import Client, Gone
from sluice.ops.control.protocol import Drain, Draining, Events, LevelSet, SetLevel, Status
from sluice.ops.control.session import ENDED_SAYS
from sluice.ops.control.views import event_lines
from sluice.ops.words import counted

from .operating import DONE, REFUSED, add_common_arguments, run_with_client, show, tell

_PROGRESS: Final = 0.5
"""Seconds between two looks at how many streams are left."""
_LEVELS: Final = ("debug", "info", "warning", "error")

_EVENTS: Final = """\
Prints one line an event, until Ctrl-C or the service's end: actors of all processes that start,
crash (with the reason; --json has the report), are restarted, paused, stopped; processes that
start, are told to end, and end; circuit breakers that open and close. `dropped` says how many
events of a worker are missing.
"""
_DRAIN: Final = """\
Ends the service as SIGTERM does: it is not ready any more, takes no new streams, gives those
that run [server] drain seconds to end, and exits. Tells the progress, and returns at the end.
"""
_LEVEL: Final = """\
Tells the level of the running service's log, or changes it until it ends, in all its processes;
workers that are started later have it too.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; the parser's name tells which command it is."""
    name = parser.prog.split()[-1]
    parser.description = {"events": _EVENTS, "drain": _DRAIN, "log-level": _LEVEL}[name]
    parser.set_defaults(talk={"events": _events, "drain": _drain, "log-level": _log_level}[name])
    if name == "drain":
        parser.add_argument("--no-wait", action="store_true", help="return when it has begun")
    if name == "log-level":
        parser.add_argument("level", nargs="?", choices=_LEVELS, help="tell the level if left out")
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them."""

    async def talk(client: Client) -> int:
        code: int = await arguments.talk(arguments, client)
        return code

    return run_with_client(arguments, talk)


async def _events(arguments: argparse.Namespace, client: Client) -> int:
    await client.ask(Events)
    async for event in client.events:
        show(arguments, event, event_lines(event))
    reason = await client.wait_gone()
    if reason == ENDED_SAYS:
        return DONE
    raise Gone(reason)


async def _log_level(arguments: argparse.Namespace, client: Client) -> int:
    level: LevelSet = await client.ask(SetLevel, level=arguments.level)
    before = f" (it was {level.before})" if level.before != level.level else ""
    missed = f"; {', '.join(level.missed)} did not answer, and will hear it" if level.missed else ""
    show(arguments, level, [f"the log's level is {level.level}{before}{missed}"])
    return DONE


async def _drain(arguments: argparse.Namespace, client: Client) -> int:
    begun: Draining = await client.ask(Drain)
    have = f"{counted(begun.streams, 'stream')} {'has' if begun.streams == 1 else 'have'}"
    show(arguments, begun, [f"draining: {have} {begun.seconds:g} s to end"])
    if arguments.no_wait:
        return DONE
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_progress, arguments, client)
        reason = await client.wait_gone()
        nursery.cancel_scope.cancel()
    if reason == ENDED_SAYS:
        if not arguments.json:
            print("the service has ended")
        return DONE
    return tell("the connection was lost before the service had ended in order", REFUSED)


async def _tell_progress(arguments: argparse.Namespace, client: Client) -> None:
    """A line each time that the number of streams has changed."""
    known = None
    while True:
        try:
            status = await client.ask(Status)
        except Gone:  # `wait_gone` says why
            return
        if known not in {None, status.streams}:
            show(arguments, status, [f"draining, with {counted(status.streams, 'stream')} left"])
        known = status.streams
        await trio.sleep(_PROGRESS)
