"""The routes that need no speed, on Quart-Trio: models, metrics, health, and all that is not there.

Nothing streams through Quart, which costs 0.4 ms a request and ends an answer after 60 s. All
views are asynchronous, also those that await nothing (``noqa: ASYNC124``), because Quart runs
the others in threads.
"""

from __future__ import annotations

from typing import Final

import msgspec
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from sluice.actors.failures import Failure
from sluice.actors.metrics import pages
from sluice.actors.metrics.metrics import Render, negotiate
from sluice.engine import ActorCrashed, ActorError, ActorStopped, AskTimeout, MailboxFull

from . import health, models
from .errors import anthropic_body, openai_body
from .json_body import invalid
from .routes import ROUTES
from .services import AppServices

RENDER_TIMEOUT: Final = 5.0
"""Seconds for the metrics to be rendered: half of Prometheus' own default deadline."""

_encode: Final = msgspec.json.Encoder().encode
_QUIET: Final = {"Cache-Control": "no-store"}
"""For answers that are true only now."""


def build_quart(services: AppServices) -> QuartTrio:
    """The application with the routes of this module."""
    app = QuartTrio(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    _add_models(app, services)
    _add_metrics(app, services)
    _add_health(app, services)
    _add_errors(app)
    return app


def _add_models(app: QuartTrio, services: AppServices) -> None:
    @app.get("/v1/models")
    async def list_models() -> Response:  # noqa: ASYNC124
        return _json(models.listing(services.routing, anthropic=_asks_for_anthropic()))

    @app.get("/v1/models/<path:name>")
    async def get_model(name: str) -> Response:  # noqa: ASYNC124
        found = models.model(services.routing, name, anthropic=_asks_for_anthropic())
        if found is None:
            return _failed(
                invalid(
                    f"The model {name[:100]!r} does not exist here.",
                    code="model_not_found",
                    param="model",
                    status=404,
                )
            )
        return _json(found)


def _asks_for_anthropic() -> bool:
    return "anthropic-version" in request.headers


def _add_metrics(app: QuartTrio, services: AppServices) -> None:
    @app.get("/metrics")
    async def metrics() -> Response:
        wanted = negotiate(request.headers.get("Accept", ""))
        try:
            text = await pages.read(services.metrics, Render(wanted.openmetrics), RENDER_TIMEOUT)
        except ActorError as error:
            return _failed(_unavailable(_why_not(error)))
        if text is None:
            return _failed(_unavailable("Too many read the metrics at the same time; try again."))
        headers = {**_QUIET, "Vary": "Accept"}
        return Response(text, content_type=wanted.content_type, headers=headers)


def _why_not(error: ActorError) -> str:
    """What became of the actor that renders: an operator finds the rest in the log."""
    match error:
        case AskTimeout():
            what = f"did not answer within {RENDER_TIMEOUT:g} s"
        case MailboxFull():
            what = "is overloaded"
        case ActorStopped():
            what = "is stopped"
        case ActorCrashed():
            what = "has crashed"
        case _:
            what = "failed"
    return f"The actor metrics {what}; try again."


def _unavailable(message: str) -> Failure:
    return Failure(
        "connection_pool_exhausted",
        "admission",
        message,
        status=503,
        code="unavailable",
        retry_after=1.0,
    )


def _add_health(app: QuartTrio, services: AppServices) -> None:
    async def judge() -> health.Health:
        snapshot = await health.take(services)
        return health.assess(services.lifecycle(), snapshot, services.version)

    @app.get("/health")
    async def full() -> Response:
        state = await judge()
        return _judged(state, state.http_status)

    @app.get("/health/live")
    async def live() -> Response:  # noqa: ASYNC124
        return _json({"status": "alive"}, 200, _QUIET)

    @app.get("/health/ready")
    async def ready() -> Response:
        state = await judge()
        body = {"ready": state.http_status == 200, "reasons": state.reasons}
        return _judged(body, state.http_status)


def _judged(body: object, status: int) -> Response:
    """An answer about health; a 503 says when to ask again, as any does (``contract: HTTP``)."""
    return _json(body, status, {**_QUIET, "Retry-After": "1"} if status == 503 else _QUIET)


def _add_errors(app: QuartTrio) -> None:
    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:  # noqa: ASYNC124
        status = error.code or 500
        failure = invalid(_told(error, status), code=_code(error), status=status)
        response = _failed(failure)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.route("/v1/responses", methods=["GET", "POST"])
    async def responses() -> Response:  # noqa: ASYNC124
        text = f"This service has no Responses API. {_listed()}"
        return _failed(invalid(text, code="unknown_route", status=404))


def _told(error: HTTPException, status: int) -> str:
    if status == 404:
        return f"There is no {request.path[:100]} here. {_listed()}"
    if isinstance(error, MethodNotAllowed):
        return f"{request.method[:20]} is not possible on {request.path[:100]}."
    if isinstance(error, InternalServerError):
        return "The service made a mistake; it is logged."
    return f"{error.name}."


def _listed() -> str:
    return "There are: " + ", ".join(ROUTES) + "."


def _code(error: HTTPException) -> str:
    return error.name.lower().replace(" ", "_") if error.code != 404 else "unknown_route"


def _failed(failure: Failure) -> Response:
    headers = {"Retry-After": "1"} if failure.retry_after is not None else None
    body = (anthropic_body if _asks_for_anthropic() else openai_body)(failure)
    return Response(body, failure.status, headers, content_type="application/json")


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(value), status, headers, content_type="application/json")
