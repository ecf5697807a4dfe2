"""``POST /v1/chat/completions``, ``/v1/messages`` and ``/v2/chat``: completions, streamed or whole.

A plain ASGI callable: these are the routes that must cost no more than a proxy.
"""

from __future__ import annotations

from typing import Final

import trio

from sluice.actors.failures import ClientLeft, Failure
from sluice.actors.limits.callers import Caller
from sluice.actors.settings import ModelSettings, Routing
from sluice.actors.streams.job import Job

from .arrival import Arrival
from .asgi import Receive, Scope, Send
from .cors import Cors
from .formats.dialects import Dialect
from .json_body import check_headers, invalid, read_body
from .services import AppServices


class ChatRoute:
    """Makes a `Job` of a request in one dialect and gives it to the streams."""

    methods: Final = ("POST",)

    def __init__(self, services: AppServices, cors: Cors, dialect: Dialect) -> None:
        self._services = services
        self._cors = cors
        self._dialect = dialect
        self.path = dialect.route
        self.error_body = dialect.error_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        arrival = Arrival(self._services, self._cors, self.path, scope, receive, send)
        arrival.cors += self._dialect.headers(arrival.request_id)
        try:
            caller = arrival.caller
            check_headers(arrival.headers)
            body = await read_body(receive, self._services.settings.body_limit)
            job = self._job(arrival, caller, body)
        except Failure as failure:
            await arrival.refuse(failure, self.error_body(failure))
        except ClientLeft:
            arrival.left()
        except trio.Cancelled:
            arrival.cut()
            raise
        else:
            await arrival.hand_over(job, self.error_body)

    def _job(self, arrival: Arrival, caller: Caller, body: bytes) -> Job:
        wanted = self._dialect.read(body, self._services.settings.json_depth)
        return Job(
            request_id=arrival.request_id,
            route=self.path,
            model=find_model(self._services.routing, wanted.model),
            streamed=wanted.streamed,
            asked=wanted.asked,
            format=wanted.format,
            caller=caller,
            arrived=arrival.at,
            validated=trio.current_time(),
            headers=tuple(arrival.cors),
        )


def find_model(routing: Routing, name: str) -> ModelSettings:
    """What is configured for ``name``. Raises a 404 `Failure` that names it."""
    model = routing.find(name)
    if model is None:
        raise invalid(
            f"The model {name[:100]!r} does not exist here; GET /v1/models lists those that do.",
            code="model_not_found",
            param="model",
            status=404,
        )
    return model
