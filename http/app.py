"""The application: the streaming routes as plain ASGI, in front of a Quart-Trio application.

`build_app` is all that others need. The way of a request to a streaming route is one look-up
by its path; everything else a client can do with a URL (``OPTIONS``, ``HEAD``, CORS, a wrong
method, a slash at the end) is kept off that way.
"""

from __future__ import annotations

from sluice.actors.failures import Failure

from .asgi import JSON, Headers, Receive, Scope, Send, answer, find, with_headers, without_body
from .callers.identity import CHALLENGE
from .chat import ChatRoute
from .cors import Cors
from .errors import anthropic_body, openai_body
from .formats.dialects import DIALECTS
from .json_body import invalid
from .plain_report import request_id
from .quart_app import build_quart
from .routes import canonical, is_listing
from .services import AppServices
from .small_answers import reported
from .stream_route import StreamRoute


class Application:
    """The ASGI callable. Made by `build_app`."""

    def __init__(self, services: AppServices) -> None:
        self._cors = Cors(services.settings.cors_origins)
        stream = StreamRoute(services, self._cors)
        self._streaming: dict[str, ChatRoute | StreamRoute] = {stream.path: stream}
        for dialect in DIALECTS:
            self._streaming[dialect.route] = ChatRoute(services, self._cors, dialect)
        self._quart = build_quart(services)
        self._log = services.log_small
        self._identity = services.identity
        self._urls = self._quart.url_map.bind("")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the server."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            route = self._streaming.get(path)
            if route is not None and method in route.methods and method != "HEAD":
                await route(scope, receive, send)
                return
            await self._rest({**scope, "path": canonical(path)}, receive, send)
        elif scope["type"] == "websocket":  # our own edge takes no upgrade: another server's may
            await send({"type": "websocket.close"})
        else:
            await self._quart(scope, receive, send)  # type: ignore[arg-type]  # its own Scope

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but a plain request to a streaming route."""
        route, method = self._streaming.get(scope["path"]), scope["method"]
        if method == "HEAD":
            send = without_body(send)
        if route is not None and method in route.methods:
            await route(scope, receive, send)
            return
        identity = request_id(scope["headers"])
        with reported(scope, send, identity, self._log) as reporting:
            await self._small(scope, receive, reporting, identity)

    async def _small(self, scope: Scope, receive: Receive, send: Send, identity: str) -> None:
        """What no streaming route takes."""
        path, common = scope["path"], self._common(scope, identity)
        allowed = self._allowed(path)
        if scope["method"] == "OPTIONS" and allowed:
            await self._options(scope, send, allowed)
        elif path in self._streaming:
            await self._refuse_method(scope, send, allowed, common)
        elif is_listing(path) and (refused := self._stranger(scope)) is not None:
            headers = [JSON, CHALLENGE, *common]
            for_anthropic = find(scope["headers"], b"anthropic-version") is not None
            body = (anthropic_body if for_anthropic else openai_body)(refused)
            await answer(send, refused.status, headers, body)
        else:
            scope = {**scope, "headers": _without_host(scope["headers"])}
            await self._quart(scope, receive, with_headers(send, common))  # type: ignore[arg-type]

    def _stranger(self, scope: Scope) -> Failure | None:
        """Why nobody is told what models there are who may not ask them."""
        try:
            self._identity.caller_of(scope)
        except Failure as refused:
            return refused
        return None

    def _allowed(self, path: str) -> list[str]:
        """The methods of ``path``; empty if there is no such route."""
        if path == "*":
            return ["GET", "HEAD", "OPTIONS", "POST"]
        if path in self._streaming:
            return [*self._streaming[path].methods, "OPTIONS"]
        return sorted(self._urls.allowed_methods(path))

    async def _options(self, scope: Scope, send: Send, allowed: list[str]) -> None:
        methods = ", ".join(allowed).encode()
        headers = [(b"allow", methods), *self._cors.preflight(scope["headers"], methods)]
        await answer(send, 204, headers)

    async def _refuse_method(
        self, scope: Scope, send: Send, allowed: list[str], common: Headers
    ) -> None:
        failure = invalid(
            f"{scope['method'][:20]} is not possible on {scope['path']}.",
            code="method_not_allowed",
            status=405,
        )
        body = self._streaming[scope["path"]].error_body(failure)
        headers = [JSON, (b"allow", ", ".join(allowed).encode()), *common]
        await answer(send, 405, headers, body)

    def _common(self, scope: Scope, identity: str) -> Headers:
        """Headers of every answer that is not a stream's."""
        return [(b"x-request-id", identity.encode()), *self._cors.headers(scope["headers"])]


def _without_host(headers: Headers) -> Headers:
    """``headers`` for Quart, which fails at a Host that DNS would not take, and needs none."""
    return [(b"host", b"sluice"), *(field for field in headers if field[0] != b"host")]


def build_app(services: AppServices) -> Application:
    """The ASGI application on ``services``."""
    return Application(services)
