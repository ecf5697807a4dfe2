"""What our edge refuses by itself, seen from a socket, and how it says so."""

from __future__ import annotations

import socket

import msgspec
import pytest
import trio
import trio.testing
from tests.http.edge_world import (
    GET,
    PATIENCE,
    POST,
    Answer,
    App,
    Calling,
    EdgeWorld,
    RawClient,
    echo,
    open_edge,
    read,
    reply,
)

from sluice.http.asgi import Receive, Scope, Send

CHUNKED = b"POST / HTTP/1.1\r\nHost: sluice\r\nTransfer-Encoding: chunked\r\n\r\n"


async def refused(client: RawClient, status: int, code: str) -> Answer:
    """The answer is that refusal, whole, and the last on its connection."""
    answer = await client.answer()
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.complete
    assert await client.closed()
    return answer


async def send_and_be_refused(edge: EdgeWorld, data: bytes, status: int, code: str) -> None:
    client = await edge.connect()
    await client.send(data)
    await refused(client, status, code)


@pytest.mark.parametrize(("data", "status", "code"), [
    (GET.replace(b"Host: sluice\r\n", b""), 400, "bad_request"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400, "bad_request"),
    (GET.replace(b"\r\n\r\n", b"\r\nExpect: tea\r\n\r\n"), 417, "expectation_failed"),
    (b"CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n", 501, "not_implemented"),
    (b"GET /" + b"a" * 9000, 414, "url_too_long"),
    (GET[:-2] + b"X: " + b"a" * 33000, 431, "head_too_large"),
    (GET[:-2] + b"X: a\r\n" * 200 + b"\r\n", 431, "head_too_large"),
    (POST % (101, b"a" * 101), 413, "body_too_large"),
])  # fmt: skip
async def test_a_request_is_refused_in_json_and_the_application_does_not_see_it(
    data: bytes, status: int, code: str
) -> None:
    app = App()
    async with open_edge(app, body_limit=100) as edge:
        await send_and_be_refused(edge, data, status, code)
        assert edge.state.counts.refused == {status: 1}
    assert app.scopes == []


async def test_a_body_over_the_limit_is_refused_before_it_is_asked_for() -> None:
    async with open_edge(Calling(echo), body_limit=10) as edge:
        expecting = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        await send_and_be_refused(edge, expecting % (11, b""), 413, "body_too_large")


async def test_a_refused_client_can_read_why_while_it_still_sends() -> None:
    async with open_edge(Calling(echo), body_limit=10) as edge:
        client = await edge.connect()
        body = b"a" * 500_000
        await client.send(POST % (len(body), body))
        await refused(client, 413, "body_too_large")


async def test_chunks_over_the_limit_are_refused_and_the_application_is_told_to_stop() -> None:
    bodies: list[bytes | None] = []

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await read(receive))
        bodies.append(await read(receive))

    async with open_edge(Calling(reading), body_limit=10) as edge:
        data = CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        await send_and_be_refused(edge, data, 413, "body_too_large")
        assert edge.state.counts.crashed == 0
    assert bodies == [None, None]


async def test_a_malformed_chunk_is_refused() -> None:
    async with open_edge(Calling(echo)) as edge:
        await send_and_be_refused(edge, CHUNKED + b"5\r\nhello!\r\n", 400, "bad_request")


async def test_a_malformed_chunk_cuts_an_answer_that_has_begun() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        await read(receive)

    async with open_edge(Calling(early)) as edge:
        answer = await edge.request(CHUNKED + b"x\r\n")
        assert (answer.body, answer.complete) == (b"early", False)


@pytest.mark.parametrize("part", [b"G", GET[:-1]])
async def test_a_head_that_trickles_in_is_a_408(part: bytes) -> None:
    async with open_edge(App(), head_timeout=0.05) as edge:
        await send_and_be_refused(edge, part, 408, "request_timeout")


@pytest.mark.parametrize("data", [POST % (10, b"half"), CHUNKED + b"5\r\nhe"])
async def test_a_body_that_trickles_in_is_a_408(data: bytes) -> None:
    async with open_edge(Calling(echo), body_timeout=0.05) as edge:
        await send_and_be_refused(edge, data, 408, "request_timeout")


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with open_edge(App(), keepalive_timeout=0.1) as edge:
        fresh, used = await edge.connect(), await edge.connect()
        assert (await used.request()).status == 200
        assert await fresh.closed()
        assert await used.closed()
        await edge.until_open(0)


async def test_an_answer_takes_as_long_as_it_takes() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await trio.sleep(0.3)
        await reply(send, b"slow")

    async with open_edge(Calling(slow), keepalive_timeout=0.05) as edge:
        assert (await edge.request()).body == b"slow"


async def test_past_the_limit_of_connections_a_client_is_told_503() -> None:
    async with open_edge(App(), max_connections=2) as edge:
        first, second = await edge.connect(), await edge.connect()
        assert (await first.request()).status == 200
        assert (await second.request()).status == 200
        answer = await refused(await edge.connect(), 503, "too_many_connections")
        assert answer.headers["retry-after"] == "1"
        assert edge.state.counts.turned_away == 1
        await first.leave()
        await edge.until_open(1)
        assert (await edge.request()).status == 200


async def test_who_has_gone_before_he_could_be_turned_away_costs_nobody_else_anything() -> None:
    async with open_edge(App(), max_connections=1) as edge:
        first = await edge.connect()
        assert (await first.request()).status == 200
        with socket.create_connection(edge.address) as gone:  # and back before it is accepted
            gone.sendall(GET)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with trio.fail_after(PATIENCE):
            while not edge.state.counts.turned_away:
                await trio.testing.wait_all_tasks_blocked(0.001)
        assert (await first.request()).status == 200


# -- bodies that the application does not read ---------------------------------------------------


async def test_the_short_rest_of_a_body_is_read_for_nobody_and_the_connection_kept() -> None:
    async with open_edge(App()) as edge:
        client = await edge.connect()
        await client.send(POST % (10, b"half"))
        assert (await client.answer()).status == 200
        await client.send(b"ending")
        assert (await client.request()).status == 200


@pytest.mark.parametrize("data", [
    POST % (1_000_000, b"begin"),
    CHUNKED + b"5\r\nhello\r\n",
    POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % (5, b""),
])  # fmt: skip
async def test_the_connection_is_closed_over_a_body_that_is_too_much_to_read(data: bytes) -> None:
    async with open_edge(App()) as edge:
        client = await edge.connect()
        answer = await client.request(data)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.closed()


async def test_the_rest_of_a_body_that_turns_out_malformed_or_missing_closes() -> None:
    async with open_edge(App(), body_timeout=0.05) as edge:
        client = await edge.connect()
        assert (await client.request(POST % (10, b"half"))).status == 200
        assert await client.closed()
        gone = await edge.connect()
        await gone.send(POST % (10, b"half"))
        await gone.leave()
        await edge.until_open(0)


async def test_the_body_is_not_asked_for_in_the_middle_of_an_answer() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early,", "more_body": True})
        body = await read(receive)
        await send({"type": "http.response.body", "body": body or b"gone"})

    async with open_edge(Calling(early)) as edge:
        client = await edge.connect()
        expecting = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        await client.send(expecting % (5, b""))
        await client._until(b"early,")
        await client.send(b"hello")
        assert await client.rest() == b"\r\n5\r\nhello\r\n0\r\n\r\n"


async def test_a_task_that_waits_for_the_body_is_let_go_by_an_early_answer() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, receive)
            await trio.testing.wait_all_tasks_blocked()
            await reply(send, b"no")

    async with open_edge(Calling(early)) as edge:
        client = await edge.connect()
        for _ in range(2):
            await client.send(POST % (5, b""))
            assert (await client.answer()).body == b"no"
            await client.send(b"hello")


# -- the style of what is told -------------------------------------------------------------------

SAYS = "The request's body is over 100 bytes."
STYLES = {
    b"/v1/messages": {"type": "error", "error": {"type": "request_too_large", "message": SAYS}},
    b"/v2/chat/": {"message": SAYS},
    b"/v1/chat/completions": {
        "error": {
            "message": SAYS,
            "type": "invalid_request_error",
            "param": None,
            "code": "body_too_large",
        }
    },
    b"/stream": {
        "error": {
            "message": SAYS,
            "type": "validation_error",
            "stage": "validation",
            "code": "body_too_large",
            "param": None,
        }
    },
}


@pytest.mark.parametrize(("path", "told"), STYLES.items())
@pytest.mark.parametrize("early", [True, False], ids=["said at once", "found out"])
async def test_what_the_edge_refuses_it_tells_in_the_style_of_the_route_that_was_called(
    path: bytes, told: object, *, early: bool
) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: sluice\r\n" % path
    chunked = b"Transfer-Encoding: chunked\r\n\r\n65\r\n%b" % (b"a" * 101)
    async with open_edge(Calling(echo), body_limit=100) as edge:
        client = await edge.connect()
        await client.send(head + (b"Content-Length: 101\r\n\r\n" if early else chunked))
        answer = await client.answer()
        assert (answer.status, msgspec.json.decode(answer.body)) == (413, told)


# -- upgrades -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offer", [
    b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
])  # fmt: skip
async def test_an_upgrade_is_answered_as_if_it_had_not_been_offered(offer: bytes) -> None:
    async with open_edge(App()) as edge:
        client = await edge.connect()
        request = GET[:-2] + b"Connection: Upgrade\r\n" + offer + b"\r\n"
        assert (await client.request(request + GET)).body == b"hello"
        assert (await client.answer()).body == b"hello"


async def test_a_websocket_with_a_byte_after_its_upgrade_ends_no_server() -> None:
    # Hypercorn 0.18's own protocol ends the whole process here.
    async with open_edge(App()) as edge:
        client = await edge.connect()
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n\x81"
        assert (await client.request(GET[:-2] + upgrade)).status == 200
        await refused(client, 400, "bad_request")
        assert (await edge.request()).status == 200


# -- the application's mistakes -----------------------------------------------------------------


@pytest.mark.parametrize("events", [
    [],
    [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb: c")]},
     {"type": "http.response.body", "body": b"a"}],
    [{"type": "http.response.start", "status": 101, "headers": []},
     {"type": "http.response.body", "body": b"a"}],
    [{"type": "http.response.start", "status": 200}, {"type": "http.response.start"}],
    [{"type": "http.response.body", "body": b"a"}],
    [{"type": "websocket.accept"}],
])  # fmt: skip
async def test_an_application_that_cannot_be_understood_is_a_500(
    events: list[dict[str, object]],
) -> None:
    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    async with open_edge(Calling(confused)) as edge:
        await send_and_be_refused(edge, GET, 500, "internal_error")
        assert edge.state.counts.crashed == 1


@pytest.mark.parametrize("parts", [[b"too", b" much"], [b"less", b""]])
async def test_a_body_that_is_not_as_long_as_declared_is_cut(parts: list[bytes]) -> None:
    async def lying(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, *parts, headers=[(b"content-length", b"5")])

    async with open_edge(Calling(lying)) as edge:
        answer = await edge.request()
        assert (answer.status, answer.complete) == (200, False)
        assert edge.state.counts.crashed == 1


async def test_a_group_of_errors_is_one_failed_request() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ValueError

    async with open_edge(Calling(failing)) as edge:
        await send_and_be_refused(edge, GET, 500, "internal_error")
        assert (await edge.request()).status == 500


async def test_an_error_after_the_answer_keeps_the_connection() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"fine")
        raise ValueError

    async with open_edge(Calling(failing)) as edge:
        client = await edge.connect()
        for _ in range(2):
            assert (await client.request()).body == b"fine"
        assert edge.state.counts.crashed == 2


async def test_more_after_the_end_of_an_answer_is_an_error_of_the_application() -> None:
    errors: list[Exception] = []

    async def more(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"fine")
        for event in ({"type": "http.response.body"}, {"type": "http.response.start"}):
            try:
                await send(event)
            except RuntimeError as error:
                errors.append(error)

    async with open_edge(Calling(more)) as edge:
        client = await edge.connect()
        assert (await client.request()).body == b"fine"
        assert (await client.request()).body == b"fine"
    assert len(errors) == 4


async def test_a_connection_that_is_reset_before_it_is_served_is_nothing() -> None:
    async with open_edge(App()) as edge:
        for _ in range(20):
            client = socket.create_connection(edge.address)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        with trio.fail_after(PATIENCE):
            assert (await edge.request()).status == 200
