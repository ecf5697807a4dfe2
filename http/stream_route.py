"""``GET /stream?model=...&prompt=...`` and ``POST /stream``: our own events.

``GET`` is for a browser's ``EventSource``, which can do nothing else, and which connects to
the same URL again by itself when a stream has ended, with ``Last-Event-ID``. Such a request
is answered 204, so that a finished answer is not generated (and paid for) a second time.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

import trio

from sluice.actors.failures import ClientLeft, Failure
from sluice.actors.limits.callers import Caller
from sluice.actors.streams.job import Job

from .arrival import Arrival
from .asgi import Receive, Scope, Send, find
from .chat import find_model
from .cors import Cors
from .errors import sluice_body
from .formats.openai_request import AskedInOpenAI
from .formats.sluice_format import SluiceClient
from .json_body import check_headers, invalid, missing, read_body
from .services import AppServices
from .stream_request import StreamRequest, as_messages, check_stream, read_stream
from .validation import Fields, encoded

QUERY_FIELDS: Final = 100
"""Fields a query may have; those that we do not know are ignored."""


class StreamRoute:
    """Makes a `Job` of a request and gives it to the streams."""

    path: Final = "/stream"
    methods: Final = ("GET", "HEAD", "POST")
    error_body = staticmethod(sluice_body)

    def __init__(self, services: AppServices, cors: Cors) -> None:
        self._services = services
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        arrival = Arrival(self._services, self._cors, self.path, scope, receive, send)
        method = scope["method"]
        if method != "POST" and find(arrival.headers, b"last-event-id"):
            await arrival.nothing_more()
            return
        try:
            caller = arrival.caller
            if method == "POST":
                request, fields = await self._posted(arrival, receive)
            else:
                request, fields = read_query(scope["query_string"])
            job = self._job(arrival, caller, request, fields)
        except Failure as failure:
            await arrival.refuse(failure, self.error_body(failure))
        except ClientLeft:
            arrival.left()
        except trio.Cancelled:
            arrival.cut()
            raise
        else:
            if method == "HEAD":
                await _head(arrival, send)
            else:
                await arrival.hand_over(job, self.error_body)

    async def _posted(self, arrival: Arrival, receive: Receive) -> tuple[StreamRequest, Fields]:
        settings = self._services.settings
        check_headers(arrival.headers)
        body = await read_body(receive, settings.body_limit)
        return read_stream(body, settings.json_depth)

    def _job(self, arrival: Arrival, caller: Caller, request: StreamRequest, fields: Fields) -> Job:
        model = find_model(self._services.routing, request.model)
        if request.prompt is not None:
            fields = as_messages(fields, request.prompt)
        return Job(
            request_id=arrival.request_id,
            route=self.path,
            model=model,
            streamed=True,
            asked=AskedInOpenAI(fields, streamed=True),
            format=SluiceClient(),
            caller=caller,
            arrived=arrival.at,
            validated=trio.current_time(),
            headers=tuple(arrival.cors),
        )


def read_query(query: bytes) -> tuple[StreamRequest, Fields]:
    """The request in a ``GET``'s query: ``model`` and ``prompt``. Raises a 400 `Failure`."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_FIELDS,
        )
    except UnicodeDecodeError:
        raise invalid("The query is not percent-encoded UTF-8.", code="invalid_query") from None
    except ValueError:
        raise invalid("The query has too many fields.", code="invalid_query") from None
    model, prompt = (_only(pairs, name) for name in ("model", "prompt"))
    request = StreamRequest(model=model, prompt=prompt)
    check_stream(request)
    return request, {"model": encoded(model)}


def _only(pairs: list[tuple[str, str]], name: str) -> str:
    values = [value for key, value in pairs if key == name]
    if not values:
        raise missing(name)
    if len(values) > 1:
        raise invalid(f"{name} is given twice.", code="invalid_value", param=name)
    return values[0]


async def _head(arrival: Arrival, send: Send) -> None:
    """What ``HEAD`` gets: that a ``GET`` would stream, without asking a provider."""
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache, no-transform"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", arrival.request_id.encode()),
        *arrival.cors,
    ]
    arrival.described()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
