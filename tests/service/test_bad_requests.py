"""Requests that are wrong, hostile or odd: each gets one clear answer, and the service goes on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.http.edge_world import Answer
from tests.service.telling import text_of
from tests.service.world import CHAT, World, chat, open_world, post, request

from sluice.ops.config import EdgeLimits

GOOD: dict[str, Any] = {
    "model": "sim-ok",
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
}


def error_of(answer: Answer) -> dict[str, Any]:
    error: dict[str, Any] = msgspec.json.decode(answer.body)["error"]
    return error


async def still_serves(world: World) -> None:
    assert (await world.ask("sim-ok")).status == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"hello", "valid JSON"),
        (b'{"model": "sim-ok", "messages": [', "ends too early"),
        (msgspec.json.encode(GOOD) + b"{}", "valid JSON"),
        (b'{"model": "sim-\xff"}', "UTF-8"),
        (b"[1, 2]", "object"),
        (b"null", "object"),
    ],
)
async def test_malformed_json_is_told_as_such(body: bytes, says: str) -> None:
    async with open_world() as world:
        answer = await world.send(post(CHAT, body))
        assert answer.status == 400
        assert says in error_of(answer)["message"]
        assert error_of(answer)["type"] == "invalid_request_error"
        await still_serves(world)
        assert world.simulator.statistics.requests == 1


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": []}, "messages"),
        ({"model": 7}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ],
)
async def test_a_field_of_a_wrong_type_is_named(change: dict[str, Any], names: str) -> None:
    async with open_world() as world:
        answer = await world.send(post(CHAT, msgspec.json.encode(GOOD | change)))
        assert answer.status == 400
        assert error_of(answer)["param"] == names
        assert names in error_of(answer)["message"]


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_a_field_that_is_missing_is_named(missing: str) -> None:
    async with open_world() as world:
        fields = {name: value for name, value in GOOD.items() if name != missing}
        answer = await world.send(post(CHAT, msgspec.json.encode(fields)))
        assert answer.status == 400
        assert error_of(answer)["param"] == missing


async def test_an_unknown_model_is_a_404_that_says_where_to_look() -> None:
    async with open_world() as world:
        answer = await world.ask("gpt-unknown")
        assert answer.status == 404
        assert error_of(answer)["code"] == "model_not_found"
        assert "gpt-unknown" in error_of(answer)["message"]
        assert "/v1/models" in error_of(answer)["message"]


async def test_json_that_nests_too_deep_is_refused_at_the_configured_depth() -> None:
    async with open_world(edge=EdgeLimits(json_depth=20)) as world:
        for depth, status in [(15, 200), (100, 400), (100_000, 400)]:
            nested = b"[" * depth + b"]" * depth
            body = msgspec.json.encode(GOOD)[:-1] + b', "metadata_of_mine": ' + nested + b"}"
            assert (await world.send(post(CHAT, body))).status == status


# -- sizes -------------------------------------------------------------------------------------


async def test_a_body_over_the_limit_is_a_413_that_names_the_limit() -> None:
    async with open_world(edge=EdgeLimits(body=2000)) as world:
        answer = await world.ask("sim-ok", "x" * 3000)
        assert answer.status == 413
        assert "2000" in error_of(answer)["message"]
        await still_serves(world)


async def test_a_chunked_body_over_the_limit_is_a_413_although_its_length_is_not_known() -> None:
    async with open_world(edge=EdgeLimits(body=2000)) as world:
        client = await world.connect()
        await client.send(request("POST", CHAT, "Transfer-Encoding: chunked"))
        await client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await client.send(b"3e9\r\n" + b"x" * 1001 + b"\r\n")
        assert (await world.read(client)).status == 413
        assert await client.closed()
        await client.leave()


@pytest.mark.parametrize(
    "headers",
    [["X-Big: " + "x" * 5000], [f"X-{number}: 1" for number in range(101)]],
    ids=["one that is large", "a hundred and one"],
)
async def test_headers_over_the_limit_are_a_431(headers: list[str]) -> None:
    async with open_world(edge=EdgeLimits(head=4000)) as world:
        assert (await world.send(request("POST", CHAT, *headers))).status == 431
        await still_serves(world)


async def test_a_url_over_the_limit_is_a_414() -> None:
    async with open_world() as world:
        assert (await world.send(request("GET", "/stream?model=" + "x" * 9000))).status == 414


# -- time --------------------------------------------------------------------------------------


async def test_a_head_that_trickles_in_is_a_408_and_others_do_not_wait_for_it() -> None:
    async with open_world(edge=EdgeLimits(head_timeout=0.3)) as world:
        slow = await world.connect()
        await slow.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: sl")
        await still_serves(world)
        assert (await world.read(slow)).status == 408
        assert await slow.closed()
        await slow.leave()


@pytest.mark.parametrize("coding", ["Content-Length: 500", "Transfer-Encoding: chunked"])
async def test_a_body_that_trickles_in_is_a_408(coding: str) -> None:
    async with open_world(edge=EdgeLimits(body_timeout=0.3)) as world:
        slow = await world.connect()
        await slow.send(request("POST", CHAT, coding))
        await still_serves(world)
        assert (await world.read(slow)).status == 408
        assert await slow.closed()
        await slow.leave()


# -- HTTP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST", "OPTIONS"}),
        ("DELETE", CHAT, {"POST", "OPTIONS"}),
        ("PUT", "/stream", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("POST", "/metrics", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/v1/models", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_method_that_a_route_does_not_have_is_a_405_that_tells_those_it_has(
    method: str, path: str, allowed: set[str]
) -> None:
    async with open_world() as world:
        answer = await world.send(request(method, path))
        assert answer.status == 405
        assert set(answer.headers["allow"].upper().split(", ")) == allowed


async def test_options_tells_what_a_route_can() -> None:
    async with open_world() as world:
        client = await world.connect()
        answer = await client.request(request("OPTIONS", CHAT))
        assert (answer.status, answer.headers["allow"].upper()) == (204, "POST, OPTIONS")
        await client.leave()


async def test_a_method_that_nobody_knows_is_a_501() -> None:
    async with open_world() as world:
        assert (await world.send(request("BREW", CHAT))).status == 501


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/completions", "/", "/../etc/passwd"])
async def test_a_route_that_is_not_there_is_a_404_that_names_those_that_are(path: str) -> None:
    async with open_world() as world:
        answer = await world.send(request("GET", path))
        assert answer.status == 404
        assert "POST /v1/chat/completions" in error_of(answer)["message"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
async def test_a_body_in_a_coding_that_is_not_read_is_a_415(coding: str) -> None:
    async with open_world() as world:
        answer = await world.send(post(CHAT, b"\x1f\x8b...", f"Content-Encoding: {coding}"))
        assert answer.status == 415


_CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "data",
    [
        request("POST", CHAT, _CHUNKED, "Content-Length: 5") + b"0\r\n\r\n",
        request("POST", CHAT, "Content-Length: 5", _CHUNKED) + b"0\r\n\r\n",
        request("POST", CHAT, "Content-Length: 5", "Content-Length: 6") + b"hello!",
        request("POST", CHAT, "Content-Length: -5"),
        request("POST", CHAT, "Content-Length: 5x"),
        request("POST", CHAT, _CHUNKED) + b"five\r\nhello\r\n",
        f"POST {CHAT} HTTP/1.1\r\nContent-Length: 0\r\n\r\n".encode(),
        request("POST", CHAT, "Host: other", "Content-Length: 0"),
        request("POST", CHAT, "Broken header", "Content-Length: 0"),
        b"POST /v1/chat completions HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 as TLS would begin\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=[
        "Transfer-Encoding before Content-Length",
        "Content-Length before Transfer-Encoding",
        "two lengths",
        "a negative length",
        "a length that is no number",
        "a chunk without a size",
        "no Host",
        "two Hosts",
        "a header without a colon",
        "a URL with a blank",
        "TLS",
        "HTTP/2",
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(
    data: bytes,
) -> None:
    async with open_world() as world:
        client = await world.connect()
        await client.send(data)
        assert (await world.read(client)).status in {400, 505}
        assert await client.closed()
        await client.leave()
        await still_serves(world)
        assert world.simulator.statistics.requests == 1


async def test_a_version_that_is_not_spoken_is_a_505() -> None:
    async with open_world() as world:
        assert (await world.send(b"GET /stream HTTP/2.0\r\nHost: x\r\n\r\n")).status == 505


async def test_http_1_0_gets_its_stream_without_a_coding_and_a_close() -> None:
    async with open_world() as world:
        whole = await world.ask("sim-ok?same=1")
        old = await world.send(chat("sim-ok?same=1").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert "transfer-encoding" not in old.headers
        assert old.headers["connection"] == "close"
        assert text_of(old) == text_of(whole)


async def test_a_client_that_wants_the_connection_closed_sees_it_closed_after_its_answer() -> None:
    async with open_world() as world:
        client = await world.begin("sim-ok")
        answer = await world.read(client)
        assert answer.headers["connection"] == "close"
        assert await client.closed()
        await client.leave()


async def test_a_connection_serves_one_request_after_another_streamed_whole_and_wrong() -> None:
    async with open_world() as world:
        client = await world.connect()
        for data, status in [
            (chat("sim-ok", keep=True), 200),
            (chat("sim-ok", keep=True, stream=False), 200),
            (post(CHAT, b"{}"), 400),
            (chat("sim-429", keep=True), 429),
            (chat("sim-cut", keep=True), 200),
            (chat("sim-ok", keep=True), 200),
        ]:
            await client.send(data)
            assert (await world.read(client)).status == status
        await client.leave()
        assert world.edge().accepted == 1


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with open_world() as world:
        client = await world.connect()
        models = [f"sim-ok?chunks={number}" for number in (5, 1, 9, 3)]
        await client.send(b"".join(chat(model, keep=True) for model in models))
        told = [len(text_of(await world.read(client)).split()) for _ in models]
        assert told == [5, 1, 9, 3]
        await client.leave()


async def test_a_request_behind_an_endless_one_is_never_begun_when_its_client_leaves() -> None:
    async with open_world() as world:
        client = await world.begin("sim-silent", keep=True)
        await client.send(chat("sim-ok"))
        await world.simulator.wait(lambda now: now.open == 1)
        await client.leave()
        await world.simulator.wait(lambda now: now.disconnects == 1)
        world.expected.update(["success", "before_first_chunk left"])
        await world.slots_are(0)
        assert world.simulator.statistics.requests == 1


async def test_a_chunked_request_body_is_read_like_any_other() -> None:
    async with open_world() as world:
        body = msgspec.json.encode(GOOD)
        pieces = [body[:7], body[7:8], body[8:]]
        coded = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        head = request("POST", CHAT, _CHUNKED)
        answer = await world.send(head + coded + b"0\r\nX-Trailer: 1\r\n\r\n")
        assert answer.status == 200
        assert msgspec.json.decode(world.simulator.requests[0].body)["messages"] == GOOD["messages"]


async def test_a_client_that_expects_100_continue_is_told_to_go_on() -> None:
    async with open_world() as world:
        client = await world.connect()
        body = msgspec.json.encode(GOOD)
        await client.send(
            request("POST", CHAT, f"Content-Length: {len(body)}", "Expect: 100-continue")
        )
        assert (await client.answer()).status == 100
        await client.send(body)
        assert (await world.read(client)).status == 200
        await client.leave()


async def test_a_client_that_expects_100_continue_for_too_much_is_told_before_it_sends() -> None:
    async with open_world() as world:
        head = request("POST", CHAT, "Content-Length: 999999999", "Expect: 100-continue")
        assert (await world.send(head)).status == 413
        assert (await world.send(request("POST", CHAT, "Expect: the unexpected"))).status == 417


async def test_an_upgrade_is_not_taken_up() -> None:
    async with open_world() as world:
        for offer in ["websocket", "h2c"]:
            upgrade = [f"Upgrade: {offer}", "Connection: Upgrade, close"]
            body = msgspec.json.encode(GOOD)
            assert (await world.send(post(CHAT, body, *upgrade))).status == 200
