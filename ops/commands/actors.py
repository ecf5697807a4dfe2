"""``sluice restart | pause | resume | stop ACTOR``: what is done to one actor."""

from __future__ import annotations

import argparse
from typing import Any, Final

from sluice.ops.control.client import Client
from sluice.ops.control.protocol import Outcome, Pause, Restart, Resume, Stop
from sluice.ops.control.views import outcome_line

from .operating import DONE, add_common_arguments, run_with_client, show

_RESTART: Final = """\
Stops an actor in order and starts it anew; one that was stopped is started. No stream is lost
by it, but for those that hold connections (streams, edge): they are drained first, and a
stream that lasts longer than [server] drain seconds then ends with an error. With workers,
their worker is replaced instead: a new one is ready before the old one drains. A supervisor is
restarted with all below it.
"""
_PAUSE: Final = """\
Lets an actor's mail wait, until `sluice resume ACTOR`. What it is doing it ends first.
"""
_STOP: Final = "Stops an actor, or a supervisor and all below it, until it is restarted."
_PATHS: Final = """\

how actors are called, as `sluice tree` shows them:
  metrics, providers/openai       of the service; with workers, of their host
  providers/openai@worker-1       of a worker; workers/worker-1/providers/openai is the same
  workers/worker-1                the worker as a whole
"""

_COMMANDS: Final[dict[str, tuple[Any, str]]] = {
    "restart": (Restart, _RESTART),
    "pause": (Pause, _PAUSE),
    "resume": (Resume, "Ends a pause."),
    "stop": (Stop, _STOP),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; the parser's name tells which command it is."""
    name = parser.prog.split()[-1]
    command, says = _COMMANDS[name]
    parser.description = says + _PATHS
    parser.set_defaults(command_type=command)
    parser.add_argument(
        "actor", metavar="ACTOR", help="its path: metrics, providers/openai, streams@worker-1"
    )
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them."""

    async def talk(client: Client) -> int:
        done: Outcome = await client.ask(arguments.command_type, path=arguments.actor)
        show(arguments, done, [outcome_line(done)])
        return DONE

    return run_with_client(arguments, talk)
