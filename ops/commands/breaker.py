"""``sluice breaker PROVIDER [open | close | reset]``: a circuit breaker, by hand."""

from __future__ import annotations

import argparse
from typing import Final

from sluice.ops.control.client import Client
from sluice.ops.control.protocol import Breaker, BreakerStatus
from sluice.ops.control.views import breaker_line

from .operating import DONE, add_common_arguments, run_with_client, show

_SAYS: Final = """\
Tells how the circuit breakers of a provider are, or changes them, in all processes at once:

  open   the provider is not called, until `close` or `reset`: no time ends that
  close  it is called again, as if a probe had succeeded
  reset  likewise, and the failures that were counted are forgotten

By itself a breaker opens after [breaker] failures in a row, and after its cooldown lets one probe
through. A model that has a breaker of its own ([models.NAME] breaker = true) is called
PROVIDER/MODEL; PROVIDER alone means all breakers of that provider.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.description = _SAYS
    parser.add_argument("name", metavar="PROVIDER", help="a provider, or PROVIDER/MODEL")
    parser.add_argument(
        "order", nargs="?", choices=("open", "close", "reset"), help="tell how it is if left out"
    )
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them."""

    async def talk(client: Client) -> int:
        found: list[BreakerStatus] = await client.ask(
            Breaker, name=arguments.name, order=arguments.order
        )
        show(arguments, found, [breaker_line(each) for each in found])
        return DONE

    return run_with_client(arguments, talk)
