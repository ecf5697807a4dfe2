"""``sluice top``: the service as it runs, in a terminal one would like to keep open."""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from typing import Final

import msgspec
import trio

from sluice.ops.control.client import Client, Gone, NotReachable, open_client
from sluice.ops.control.place import Place
from sluice.ops.control.protocol import Look, Outcome, Refused, Restart, Status, Tree
from sluice.ops.control.terminal import Terminal, open_terminal
from sluice.ops.control.top_view import View, actors_of, frame
from sluice.ops.control.views import outcome_line

from .operating import DONE, REFUSED, add_common_arguments, show, talk_at, tell, the_place

_WIDE: Final = 100
_RECONNECT: Final = 1.0
"""Seconds between two tries to reach a service that has gone."""
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice top``."""
    parser.description = (
        "Shows the service as it runs: processes, streams, rates, the time to the first chunk,\n"
        "providers, actors. Keys: q quits, space holds the picture, up and down select an\n"
        "actor, r restarts it (it asks first). When the service goes away, it says so, and\n"
        "connects again when it is back."
    )
    add_common_arguments(parser)
    parser.add_argument("--once", action="store_true", help="print one frame as text, and end")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_interval,
        default=1.0,
        help="between two looks, 0.1 to 60 (default: 1)",
    )


def _interval(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 60")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Exit codes as ``--help`` has them."""
    place = the_place(arguments)
    if place is None:
        return REFUSED
    if arguments.once or arguments.json:
        return trio.run(partial(talk_at, place, partial(_once, arguments)))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return tell("top needs a terminal; --once prints one frame without one", REFUSED)
    with open_terminal(sys.stdin.fileno()) as terminal:
        return trio.run(_Top(place, terminal, arguments.interval).run)


async def _once(arguments: argparse.Namespace, client: Client) -> int:
    await client.ask(Look)
    await trio.sleep(arguments.interval)
    view = await _look(client)
    rows = frame(view, _WIDE, sys.maxsize)[:-1]
    show(arguments, view, [row.text for row in rows])
    return DONE


async def _look(client: Client, view: View | None = None) -> View:
    return msgspec.structs.replace(
        view or View(),
        status=await client.ask(Status),
        tree=await client.ask(Tree),
        figures=await client.ask(Look),
    )


class _Top:
    """One run of the live view."""

    def __init__(self, place: Place, terminal: Terminal, interval: float) -> None:
        self._place = place
        self._terminal = terminal
        self._interval = interval
        self._view = View()
        self._client: Client | None = None
        self._asked = ""
        """The actor that is to be restarted, if the next key is ``y``."""

    async def run(self) -> int:
        """Show until a key, a signal or the terminal's end says that it is enough."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._end_on_signal, nursery.cancel_scope)
            nursery.start_soon(self._redraw_on_resize)
            while await self._obey(await self._terminal.key(), nursery):
                self._draw()
            nursery.cancel_scope.cancel()
        return DONE

    async def _watch(self) -> None:
        while True:
            try:
                async with open_client(self._place) as self._client:
                    self._change(message="")
                    await self._follow(self._client)
            except (NotReachable, Gone, Refused) as problem:
                self._client = None
                self._change(message=f"{problem} -- trying again")
            await trio.sleep(_RECONNECT)

    async def _follow(self, client: Client) -> None:
        while True:
            if not self._view.held:
                self._view = await _look(client, self._view)
                self._draw()
            await trio.sleep(self._interval)

    async def _obey(self, key: str, nursery: trio.Nursery) -> bool:
        """Do what ``key`` says; whether to go on."""
        path, self._asked = self._asked, ""
        if key in {"", "q"}:
            return False
        if path:
            self._change(message="")
            if key == "y":
                nursery.start_soon(self._restart, path)
        elif key == " ":
            self._change(held=not self._view.held)
        elif key in {"up", "k", "down", "j"}:
            self._select(-1 if key in {"up", "k"} else 1)
        elif key == "r" and self._view.selected:
            self._asked = self._view.selected
            self._change(message=f"restart {self._asked}? y: yes, any other key: no")
        return True

    def _select(self, step: int) -> None:
        if self._view.tree is None:
            return
        paths = [node.path for node in actors_of(self._view.tree)]
        here = paths.index(self._view.selected) if self._view.selected in paths else -(step > 0)
        self._change(selected=paths[(here + step) % len(paths)], message="")

    async def _restart(self, path: str) -> None:
        if self._client is None:
            return
        try:
            done: Outcome = await self._client.ask(Restart, path=path)
        except (Refused, Gone) as problem:
            self._change(message=str(problem))
        else:
            self._change(message=outcome_line(done))

    def _change(self, **fields: object) -> None:
        self._view = msgspec.structs.replace(self._view, **fields)
        self._draw()

    def _draw(self) -> None:
        width, height = self._terminal.size
        self._terminal.show(frame(self._view, width, height))

    async def _end_on_signal(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(*_ENDS) as signals:
            async for _ in signals:
                scope.cancel()

    async def _redraw_on_resize(self) -> None:
        with trio.open_signal_receiver(signal.SIGWINCH) as signals:
            async for _ in signals:
                self._draw()
