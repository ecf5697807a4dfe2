from __future__ import annotations

import http.client
import re
from pathlib import Path
from typing import ClassVar, cast

import pytest
import trio
from tests.http.app_world import World

from sluice.http.asgi import Event, Headers
from sluice.http.callers.auth_settings import AuthSettings, TokenSettings
from sluice.http.callers.identity import Identity
from sluice.http.services import AppSettings, ProviderState

GOOD = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def open_world() -> World:
    return World(AppSettings(cors_origins=("https://page.example",)))


# -- methods and paths -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST, OPTIONS"),
        ("DELETE", "/v1/chat/completions", "POST, OPTIONS"),
        ("PUT", "/stream", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/models", "GET, HEAD, OPTIONS"),
        ("POST", "/metrics", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_a_route_does_not_have_is_a_405_that_lists_those_it_has(
    world: World, method: str, path: str, allow: str
) -> None:
    answer = await world.call(method, path)
    assert answer.status == 405
    assert answer.header("allow") == allow
    assert answer.error["code"] == "method_not_allowed"
    assert world.reports == []


@pytest.mark.parametrize("path", ["/", "/v1", "/favicon.ico", "/stream/x", "/streams/abc"])
async def test_a_route_that_does_not_exist_is_a_404_in_json_that_lists_those_that_do(
    world: World, path: str
) -> None:
    answer = await world.call("GET", path)
    assert answer.status == 404
    assert answer.header("content-type") == "application/json"
    assert answer.error["code"] == "unknown_route"
    assert "POST /v1/chat/completions" in answer.error["message"]


async def test_the_responses_api_is_a_404_that_names_the_routes_that_exist(world: World) -> None:
    answer = await world.call("POST", "/v1/responses", b'{"model":"gpt-4o","input":"x"}')
    assert answer.status == 404
    assert "no Responses API" in answer.error["message"]
    assert "POST /v1/chat/completions" in answer.error["message"]


async def test_what_a_path_quotes_is_bounded(world: World) -> None:
    answer = await world.call("GET", "/" + "x" * 10_000)
    assert len(answer.body) < 1000


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions/"),
        ("GET", "/v1/models/"),
        ("GET", "/health/"),
        ("GET", "/health/live/"),
        ("GET", "/metrics/"),
    ],
)
async def test_a_slash_at_the_end_is_served_without_a_redirect(
    world: World, method: str, path: str
) -> None:
    assert (await world.call(method, path, GOOD)).status == 200


async def test_doubled_slashes_are_no_redirect(world: World) -> None:
    answer = await world.call("GET", "//health")
    assert answer.header("location") is None
    assert not 300 <= answer.status < 400


@pytest.mark.parametrize("path", ["/v1/models", "//v1/models", "///v1//", "//v1/models/gpt-4o"])
async def test_no_slash_lets_a_stranger_see_what_models_there_are(path: str) -> None:
    known = {"one": TokenSettings("one", "0" * 64)}
    world = World(identity=Identity(AuthSettings(anonymous=False, tokens=known)))
    answer = await world.call("GET", path)
    assert answer.status in {401, 404}
    assert b"gpt-4o" not in answer.body


@pytest.mark.parametrize("host", ["..xn--", "a" * 64, ".", "[", "a:b:c", "%%", ""])
async def test_a_host_that_is_no_name_is_no_failure_of_the_service(world: World, host: str) -> None:
    assert (await world.call("GET", "/health", headers={"Host": host})).status == 200
    assert (await world.call("GET", "/nothing", headers={"Host": host})).status == 404


@pytest.mark.parametrize(
    "path", ["/health", "/health/live", "/health/ready", "/metrics", "/v1/models", "/nothing"]
)
async def test_head_has_the_head_of_get_and_no_body(world: World, path: str) -> None:
    get, head = await world.call("GET", path), await world.call("HEAD", path)
    assert head.body == b""
    assert get.body != b""
    assert head.status == get.status
    assert head.header("content-length") == str(len(get.body))


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/chat/completions", "POST, OPTIONS"),
        ("/stream", "GET, HEAD, POST, OPTIONS"),
        ("/v1/models/gpt-4o", "GET, HEAD, OPTIONS"),
        ("*", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_options_tells_the_methods(world: World, path: str, allow: str) -> None:
    answer = await world.call("OPTIONS", path)
    assert (answer.status, answer.header("allow"), answer.body) == (204, allow, b"")


async def test_options_of_a_route_that_does_not_exist_is_a_404(world: World) -> None:
    assert (await world.call("OPTIONS", "/nothing")).status == 404


async def test_every_answer_has_a_request_id(world: World) -> None:
    for path in ("/health", "/nothing", "/v1/chat/completions"):
        made = (await world.call("GET", path)).header("x-request-id")
        assert made is not None
        assert re.fullmatch("[0-9a-f]{32}", made)
        given = await world.call("GET", path, headers={"X-Request-Id": "mine-1"})
        assert given.header("x-request-id") == "mine-1"


# -- CORS --------------------------------------------------------------------------------------

PREFLIGHT = {
    "Origin": "https://page.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
}


async def test_cors_is_off_unless_configured(world: World) -> None:
    answer = await world.call("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)
    got = await world.call("GET", "/health", headers={"Origin": "https://page.example"})
    for each in (answer, got):
        assert not any(name.startswith(b"access-control") for name, _ in each.headers)
        assert each.header("vary") is None


async def test_a_preflight_from_a_configured_origin_is_granted(open_world: World) -> None:
    answer = await open_world.call("OPTIONS", "/v1/chat/completions", headers=PREFLIGHT)
    assert answer.status == 204
    assert answer.header("access-control-allow-origin") == "https://page.example"
    assert answer.header("access-control-allow-methods") == "POST, OPTIONS"
    asked = PREFLIGHT["Access-Control-Request-Headers"]
    assert answer.header("access-control-allow-headers") == asked
    assert answer.header("access-control-max-age") == "600"
    assert answer.header("vary") == "Origin, Access-Control-Request-Headers"
    assert answer.header("access-control-allow-credentials") is None


@pytest.mark.parametrize(
    "origin", ["https://other.example", "http://page.example", "https://page.example.evil", "null"]
)
async def test_a_preflight_from_another_origin_is_not_granted(
    open_world: World, origin: str
) -> None:
    headers = PREFLIGHT | {"Origin": origin}
    answer = await open_world.call("OPTIONS", "/v1/chat/completions", headers=headers)
    assert answer.header("access-control-allow-origin") is None
    assert answer.header("access-control-allow-methods") is None
    assert answer.header("vary") == "Origin"


async def test_headers_that_are_no_header_names_are_not_repeated(open_world: World) -> None:
    headers = PREFLIGHT | {"Access-Control-Request-Headers": "a: b"}
    answer = await open_world.call("OPTIONS", "/stream", headers=headers)
    assert answer.header("access-control-allow-headers") is None


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/v1/chat/completions", GOOD, 200),
        ("POST", "/v1/chat/completions", b"{", 400),
        ("GET", "/v1/chat/completions", b"", 405),
        ("GET", "/stream?model=gpt-4o&prompt=x", b"", 200),
        ("GET", "/stream", b"", 400),
        ("GET", "/health", b"", 200),
        ("GET", "/nothing", b"", 404),
    ],
)
async def test_every_answer_to_a_configured_origin_can_be_read_with_our_headers(
    open_world: World, method: str, target: str, body: bytes, status: int
) -> None:
    origin = {"Origin": "https://page.example"}
    answer = await open_world.call(method, target, body, headers=origin)
    assert answer.status == status
    assert answer.header("access-control-allow-origin") == "https://page.example"
    exposed = answer.header("access-control-expose-headers")
    assert exposed is not None
    assert {"X-Request-Id", "X-Stream-Id", "X-Provider"} <= set(exposed.split(", "))


async def test_an_answer_varies_by_origin_even_without_one(open_world: World) -> None:
    answer = await open_world.call("GET", "/health")
    assert answer.header("vary") == "Origin"
    assert answer.header("access-control-allow-origin") is None


async def test_a_star_opens_the_routes_to_every_origin() -> None:
    world = World(AppSettings(cors_origins=("*",)))
    answer = await world.call("GET", "/health", headers={"Origin": "https://any.example"})
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("vary") is None


# -- models ------------------------------------------------------------------------------------


async def test_models_are_those_configured_by_name_in_openais_shape(world: World) -> None:
    answer = await world.call("GET", "/v1/models")
    assert answer.json == {
        "object": "list",
        "data": [
            {"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "openai"},
            {"id": "fast", "object": "model", "created": 0, "owned_by": "openai"},
        ],
    }


async def test_models_are_in_anthropics_shape_for_its_sdk(world: World) -> None:
    answer = await world.call("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert [model["id"] for model in answer.json["data"]] == ["gpt-4o", "fast"]
    assert {model["type"] for model in answer.json["data"]} == {"model"}
    assert answer.json["has_more"] is False
    assert (answer.json["first_id"], answer.json["last_id"]) == ("gpt-4o", "fast")


async def test_one_model_can_be_looked_up_by_its_name(world: World) -> None:
    answer = await world.call("GET", "/v1/models/fast")
    assert answer.json["id"] == "fast"
    answer = await world.call("GET", "/v1/models/sim-ok", headers={"anthropic-version": "x"})
    assert answer.json["display_name"] == "sim-ok"


async def test_a_model_that_is_not_configured_is_a_404_that_names_it(world: World) -> None:
    answer = await world.call("GET", "/v1/models/gpt-99")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert "gpt-99" in answer.error["message"]


# -- around the routes ---------------------------------------------------------------------------


async def test_a_mistake_of_ours_is_a_500_in_json_that_tells_nothing_of_it(world: World) -> None:
    world.states = cast("dict[str, ProviderState]", None)
    answer = await world.call("GET", "/health")
    assert (answer.status, answer.error["type"]) == (500, "server_error")
    assert "NoneType" not in answer.error["message"]


async def test_the_servers_lifespan_is_lived(world: World) -> None:
    coming = ["lifespan.startup", "lifespan.shutdown"]
    sent: list[str] = []

    async def receive() -> Event:
        await trio.lowlevel.checkpoint()
        return {"type": coming.pop(0)}

    async def send(event: Event) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(event["type"])

    with trio.fail_after(10):
        await world.app({"type": "lifespan", "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_on_our_own_edge_a_stream_writes_to_its_client_itself(world: World) -> None:
    class Client:
        answers: ClassVar[list[bytes]] = []

        async def respond(self, status: int, headers: Headers, body: bytes, timeout: float) -> None:
            await trio.lowlevel.checkpoint()
            self.answers.append(body)

    answer = await world.call("POST", "/v1/chat/completions", GOOD, client=Client())
    assert answer.status == 0  # nothing went through ASGI's `send`
    assert Client.answers == [b"ran"]


# -- the standard library's http -----------------------------------------------------------------


def test_the_http_folder_does_not_hide_the_standard_library() -> None:
    assert not (Path(__file__).parents[2] / "http" / "__init__.py").exists()
    assert "lib/python3" in http.client.__file__
