"""What any HTTP/1.1 server must do: the same tests for ours and for Hypercorn's own protocol.

Where Hypercorn 0.18 is known to do otherwise, the test is in ``test_server_*.py``.
"""

from __future__ import annotations

from typing import Any

import hypercorn.trio.run
import pytest
import trio
import trio.testing
from hypercorn.utils import LifespanFailureError
from tests.http.edge_world import GET, PATIENCE, POST, App, Calling, echo, open_edge, read, reply

from sluice.http.asgi import Receive, Scope, Send

both = pytest.mark.parametrize("http1", ["sluice", "hypercorn"])

CHUNKED = b"POST / HTTP/1.1\r\nHost: sluice\r\nTransfer-Encoding: chunked\r\n\r\n"


# -- requests as the application sees them -------------------------------------------------------


@both
async def test_the_scope_says_what_was_asked_for(http1: str) -> None:
    app = App()
    async with open_edge(app, http1=http1) as edge:
        client = await edge.connect()
        await client.request(
            b"PUT /a%20b/%C3%BC?x=1&y=%20 HTTP/1.1\r\n"
            b"Host: sluice:80\r\nX-Thing:  some value \r\n\r\n"
        )
        peer = client.stream.socket.getsockname()  # type: ignore[attr-defined]
    scope = app.scopes[0]
    assert (scope["type"], scope["http_version"], scope["method"]) == ("http", "1.1", "PUT")
    assert (scope["scheme"], scope["root_path"]) == ("http", "")
    assert (scope["path"], scope["raw_path"]) == ("/a b/ü", b"/a%20b/%C3%BC")
    assert scope["query_string"] == b"x=1&y=%20"
    assert list(scope["headers"]) == [(b"host", b"sluice:80"), (b"x-thing", b"some value")]
    assert (tuple(scope["client"]), tuple(scope["server"])) == (peer, edge.address)


@both
async def test_what_the_lifespan_leaves_in_the_state_reaches_every_request(http1: str) -> None:
    app = App()

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["from"] = (
            "lifespan" if scope["type"] == "lifespan" else scope["state"]["from"]
        )
        await app(scope, receive, send)

    async with open_edge(with_state, http1=http1) as edge:
        await edge.request()
        edge.stop.set()
        await edge.until_ended()
    assert app.scopes[0]["state"] == {"from": "lifespan"}
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]


@both
async def test_a_head_may_be_split_at_every_byte(http1: str) -> None:
    app = App()
    async with open_edge(app, http1=http1) as edge:
        client = await edge.connect()
        for cut in range(1, len(GET)):
            await client.send(GET[:cut])
            await trio.testing.wait_all_tasks_blocked(0.001)
            answer = await client.request(GET[cut:])
            assert (answer.status, answer.body) == (200, b"hello")
    assert len(app.scopes) == len(GET) - 1


@both
async def test_a_body_arrives_whole_whatever_its_pieces(http1: str) -> None:
    async with open_edge(Calling(echo), http1=http1) as edge:
        client = await edge.connect()
        body = bytes(range(256)) * 1000
        request = POST % (len(body), body)
        for start in range(0, len(request), 30_000):
            await client.send(request[start : start + 30_000])
            await trio.lowlevel.checkpoint()
        assert (await client.answer()).body == body


@both
async def test_a_chunked_body_arrives_without_its_coding(http1: str) -> None:
    async with open_edge(Calling(echo), http1=http1) as edge:
        answer = await edge.request(CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: x\r\n\r\n")
        assert answer.body == b"hello world"


@both
async def test_requests_that_are_pipelined_are_answered_in_order(http1: str) -> None:
    async with open_edge(Calling(echo), http1=http1) as edge:
        client = await edge.connect()
        chunked = CHUNKED + b"3\r\ntwo\r\n0\r\n\r\n"
        await client.send(POST % (3, b"one") + chunked + POST % (5, b"three") + GET)
        bodies = [(await client.answer()).body for _ in range(4)]
        assert bodies == [b"one", b"two", b"three", b""]


@both
async def test_the_body_is_asked_for_when_the_application_wants_it(http1: str) -> None:
    async with open_edge(Calling(echo), http1=http1) as edge:
        client = await edge.connect()
        head = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % (5, b"")
        assert (await client.request(head)).status == 100
        answer = await client.request(b"hello")
        assert (answer.status, answer.body) == (200, b"hello")


# -- responses ----------------------------------------------------------------------------------


@both
async def test_a_body_of_unknown_length_is_chunked(http1: str) -> None:
    async def parts(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"a", b"", b"bc")

    async with open_edge(Calling(parts), http1=http1) as edge:
        client = await edge.connect()
        for _ in range(2):
            answer = await client.request()
            assert answer.headers["transfer-encoding"] == "chunked"
            assert (answer.body, answer.complete) == (b"abc", True)


@both
async def test_a_length_that_the_application_declares_is_kept(http1: str) -> None:
    async def sized(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"ab", b"cd", headers=[(b"content-length", b"4")])

    async with open_edge(Calling(sized), http1=http1) as edge:
        answer = await edge.request()
        assert answer.headers["content-length"] == "4"
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"abcd"


@both
async def test_the_answer_to_head_has_no_body(http1: str) -> None:
    async def sized(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"abcd", headers=[(b"content-length", b"4")])

    async with open_edge(Calling(sized), http1=http1) as edge:
        client = await edge.connect()
        for _ in range(2):
            answer = await client.request(GET.replace(b"GET", b"HEAD"), head=True)
            assert (answer.status, answer.headers["content-length"]) == (200, "4")
        assert client.buffer == b""


@both
@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_never_have_a_body(http1: str, status: int) -> None:
    async def bodiless(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"", status=status)

    async with open_edge(Calling(bodiless), http1=http1) as edge:
        client = await edge.connect()
        for _ in range(2):
            answer = await client.request()
            assert answer.status == status
            assert not {"content-length", "transfer-encoding"} & set(answer.headers)
        assert client.buffer == b""


@both
async def test_every_answer_has_a_date_and_none_says_who_serves(http1: str) -> None:
    async with open_edge(App(), http1=http1) as edge:
        answer = await edge.request()
        assert answer.headers["date"].endswith("gmt")
        assert "server" not in answer.headers


@both
async def test_a_body_for_http_1_0_ends_with_the_connection(http1: str) -> None:
    async def parts(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"a", b"b")

    async with open_edge(Calling(parts), http1=http1) as edge:
        client = await edge.connect()
        answer = await client.request(b"GET / HTTP/1.0\r\n\r\n")
        assert answer.body == b"ab"
        assert not {"content-length", "transfer-encoding"} & set(answer.headers)


@both
@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: sluice\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
async def test_a_client_that_wants_no_more_gets_no_more(http1: str, request_: bytes) -> None:
    async with open_edge(App(), http1=http1) as edge:
        client = await edge.connect()
        answer = await client.request(request_)
        assert answer.body == b"hello"
        assert await client.closed()


@both
async def test_an_application_can_close_the_connection(http1: str) -> None:
    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"bye", headers=[(b"connection", b"close")])

    async with open_edge(Calling(closing), http1=http1) as edge:
        client = await edge.connect()
        answer = await client.request()
        assert (answer.body, answer.headers["connection"]) == (b"bye", "close")
        assert await client.closed()


# -- clients that leave, applications that fail ---------------------------------------------------


@both
async def test_an_application_that_waits_is_told_that_its_client_left(http1: str) -> None:
    told: list[Any] = []
    ready, done = trio.Event(), trio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(await receive())
        ready.set()
        told.append(await receive())
        done.set()

    async with open_edge(Calling(waiting), http1=http1) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        await client.leave()
        with trio.fail_after(PATIENCE):
            await done.wait()
        assert [event["type"] for event in told] == ["http.request", "http.disconnect"]


@both
async def test_a_client_that_leaves_in_its_body_is_no_error(http1: str) -> None:
    bodies: list[bytes | None] = []
    done = trio.Event()

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await read(receive))
        done.set()

    async with open_edge(Calling(reading), http1=http1) as edge:
        client = await edge.connect()
        await client.send(POST % (10, b"half"))
        await client.leave()
        with trio.fail_after(PATIENCE):
            await done.wait()
    assert bodies == [None]


@both
@pytest.mark.parametrize("part", [GET[:7], b"", GET])
async def test_a_client_that_leaves_takes_no_other_with_it(http1: str, part: bytes) -> None:
    async with open_edge(App(), http1=http1) as edge:
        client = await edge.connect()
        if part:
            await client.send(part)
        await client.leave()
        assert (await edge.request()).status == 200


@both
async def test_an_application_that_fails_before_it_answers_is_a_500(http1: str) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            raise ValueError("secret")
        await reply(send, b"fine")

    async with open_edge(Calling(failing), http1=http1) as edge:
        answer = await edge.request()
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert (await edge.request(GET.replace(b"/", b"/ok", 1))).body == b"fine"


@both
async def test_an_application_that_fails_while_it_answers_cuts_the_answer(http1: str) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError

    async with open_edge(Calling(failing), http1=http1) as edge:
        answer = await edge.request()
        assert (answer.body, answer.complete) == (b"half", False)


@both
async def test_garbage_is_refused_and_the_server_lives(http1: str) -> None:
    async with open_edge(App(), http1=http1) as edge:
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"hello\r\n\r\n",
            b"GET / HTTP/1.1\r\n:\r\n\r\n",
        ):
            client = await edge.connect()
            await client.send(garbage)
            if garbage[0] == 0x16 and http1 == "hypercorn":
                await client.leave()  # it waits for the end of a head
                continue
            assert (await client.answer()).status == 400
            assert await client.closed()
        assert (await edge.request()).status == 200


# -- shutdown -----------------------------------------------------------------------------------


@both
async def test_shutdown_lets_an_answer_end_and_closes_idle_connections(http1: str) -> None:
    going_on = trio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await going_on.wait()
        await send({"type": "http.response.body", "body": b"last", "more_body": False})

    async with open_edge(Calling(slow), http1=http1) as edge:
        busy, idle = await edge.connect(), await edge.connect()
        await busy.send(GET)
        await idle.send(GET)
        await busy._until(b"first ")
        going_on.set()
        assert (await idle.answer()).complete
        going_on = trio.Event()
        second = await edge.connect()
        await second.send(GET)
        await second._until(b"first ")
        edge.stop.set()
        assert await idle.closed()
        going_on.set()
        assert b"last" in await second.rest()
        await edge.until_ended()


@both
async def test_an_answer_that_outlives_the_drain_is_cut(http1: str) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await trio.sleep_forever()

    async with open_edge(Calling(endless), http1=http1, drain=0.05) as edge:
        client = await edge.connect()
        await client.send(GET)
        await client._until(b"first")
        edge.stop.set()
        assert b"0\r\n\r\n" not in await client.rest()
        await edge.until_ended()


# -- Hypercorn itself ----------------------------------------------------------------------------


async def test_another_version_of_hypercorn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.19.0")
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match=r"0\.18\.0, and 0\.19\.0")):
        async with open_edge(App()):
            pass


@both
async def test_nothing_of_hypercorn_is_changed_for_others(http1: str) -> None:
    before = vars(hypercorn.trio.run).copy()
    async with open_edge(App(), http1=http1) as edge:
        await edge.request()
    assert vars(hypercorn.trio.run) == before


@both
async def test_the_server_writes_only_to_our_log(
    http1: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError

    caplog.set_level("DEBUG")
    async with open_edge(Calling(failing), http1=http1) as edge:
        await edge.request()
    assert capfd.readouterr() == ("", "")
    assert {record.name for record in caplog.records} == {"sluice.edge"}
    assert any(record.exc_info for record in caplog.records)
    assert not any("Running on" in record.getMessage() for record in caplog.records)


@both
async def test_an_application_without_a_lifespan_is_served(http1: str) -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await reply(send, b"bare")

    async with open_edge(bare, http1=http1) as edge:
        assert (await edge.request()).body == b"bare"


@both
async def test_an_application_that_refuses_to_start_ends_the_server(http1: str) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.RaisesGroup(LifespanFailureError, flatten_subgroups=True):
        async with open_edge(broken, http1=http1):
            pass
