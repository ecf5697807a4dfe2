"""One report for each request that the streaming routes do not take, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from sluice.actors.metrics.reports import RequestReport

from .asgi import Event, Scope, Send
from .http1.exchange import REFUSED
from .leaving import without_leaving
from .plain_report import plain_report
from .routes import route_of


@contextmanager
def reported(
    scope: Scope, send: Send, identity: str, log: Callable[[RequestReport], None]
) -> Iterator[Send]:
    """A ``send`` for the answer within the block; at its end ``log`` is told how it went.

    It is reported under its ``identity``. What the edge reports is left to it: a request that it
    refused, or has to answer itself because the application failed before it began to.
    """
    began = trio.current_time()
    answer = _Answer(send)
    edge_answers = False
    try:
        yield answer.send
    except BaseException as error:
        edge_answers = not answer.status and without_leaving(error) is not None
        answer.stopped = not isinstance(error, Exception)
        raise
    finally:
        if not edge_answers and REFUSED not in (scope.get("extensions") or ()):
            log(
                plain_report(
                    identity,
                    route_of(scope["path"]),
                    answer.status,
                    answer.end(),
                    trio.current_time() - began,
                )
            )


class _Answer:
    """What was sent. A head counts from the first piece of its body on: they leave together."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head = 0
        self._complete = False
        self.status = 0
        self.stopped = False

    async def send(self, event: Event) -> None:
        await self._send(event)
        if event["type"] == "http.response.start":
            self._head = event["status"]
        else:
            self.status = self._head
            self._complete = not event.get("more_body", False)

    def end(self) -> str:
        """How it ended, in a word."""
        if self._complete:
            return "complete"
        if self.stopped:
            return "stopping"
        return "cut" if self.status else "client_left"
