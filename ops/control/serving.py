"""The control server of ``sluice serve``, where the configuration says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from sluice.ops.config import Config

from .controlled import Controlled
from .place import CannotListen, Place, default_address
from .server import open_control


class Operators:
    """Where what operators control is put once it serves."""

    controlled: Controlled | None = None


def place_of(config: Config) -> Place:
    """Where ``config`` has operators come in; the token only where one is needed."""
    address = config.control.address or default_address(config.server.data_dir)
    token = config.control.token
    needed = token is not None and not address.startswith("unix:")
    return Place(address, token.value if needed and token is not None else None)


@asynccontextmanager
async def open_for_operators(
    config: Config, log: structlog.typing.FilteringBoundLogger
) -> AsyncIterator[Operators]:
    """Let operators in within the block.

    Raises `CannotListen` if the address that is configured cannot be had. The default one may
    belong to another service on this machine, or be on a disk that takes no socket: then this
    one serves without control, and says so.
    """
    operators = Operators()
    async with AsyncExitStack() as stack:
        try:
            opened = open_control(place_of(config), lambda: operators.controlled)
            await stack.enter_async_context(opened)
        except CannotListen as problem:
            if config.control.address is not None:
                raise
            log.warning("operators cannot reach this service", reason=str(problem))
        yield operators
