"""``sluice status`` and ``sluice tree``: how the service is, and what it is made of."""

from __future__ import annotations

import argparse

from sluice.ops.control.client import Client
from sluice.ops.control.protocol import Node, ServiceStatus, Status, Tree
from sluice.ops.control.views import status_lines, tree_lines

from .operating import DONE, add_common_arguments, run_with_client, show

_SAYS = {
    "status": (
        "Tells how the service is: state, streams, connections; and each process: a worker that\n"
        "does not answer within a second is told as such, and one that was replaced while it\n"
        "drains."
    ),
    "tree": (
        "Shows every supervisor and actor, those of each worker below it: its state, which life\n"
        "it is in, restarts after crashes, messages that wait in its mailbox, how long it has\n"
        "been up, and messages handled. An actor of a worker is called NAME@worker-1.\n"
        "--json has what each actor says of itself, too."
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; the parser's name tells which of the two it is."""
    name = parser.prog.split()[-1]
    parser.description = _SAYS[name]
    parser.set_defaults(what=name)
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them."""

    async def talk(client: Client) -> int:
        if arguments.what == "tree":
            root: Node = await client.ask(Tree)
            show(arguments, root, tree_lines(root))
        else:
            status: ServiceStatus = await client.ask(Status)
            show(arguments, status, status_lines(status))
        return DONE

    return run_with_client(arguments, talk)
