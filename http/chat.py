"""``POST /v1/chat/completions``: OpenAI chat completions, streamed or whole.

A plain ASGI callable: this is the route that must cost no more than a proxy.
"""

from __future__ import annotations

from typing import Final

import trio

from sluice.actors.callers import Caller
from sluice.actors.failures import ClientLeft, Failure
from sluice.actors.settings import ModelSettings, Routing
from sluice.actors.stream import Job

from .arrival import Arrival
from .asgi import Receive, Scope, Send
from .cors import Cors
from .errors import openai_body
from .json_body import check_headers, invalid, read_body
from .openai_format import OpenAIClient
from .services import AppServices
from .validation import AskedInOpenAI, read_chat

ROUTE: Final = "/v1/chat/completions"


class ChatRoute:
    """Makes a `Job` of a request and gives it to the streams."""

    methods: Final = ("POST",)

    def __init__(self, services: AppServices, cors: Cors) -> None:
        self._services = services
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        arrival = Arrival(self._services, self._cors, ROUTE, scope, receive, send)
        try:
            caller = arrival.caller
            check_headers(arrival.headers)
            body = await read_body(receive, self._services.settings.body_limit)
            job = self._job(arrival, caller, body)
        except Failure as failure:
            await arrival.refuse(failure, openai_body(failure))
        except ClientLeft:
            arrival.left()
        except trio.Cancelled:
            arrival.cut()
            raise
        else:
            await arrival.hand_over(job, openai_body)

    def _job(self, arrival: Arrival, caller: Caller, body: bytes) -> Job:
        request, fields = read_chat(body, self._services.settings.json_depth)
        model = find_model(self._services.routing, request.model)
        streamed = request.stream is True
        options = request.stream_options
        return Job(
            request_id=arrival.request_id,
            route=ROUTE,
            model=model,
            streamed=streamed,
            asked=AskedInOpenAI(fields, streamed),
            format=OpenAIClient(usage=options is not None and options.include_usage is True),
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
