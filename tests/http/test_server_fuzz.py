"""Strangers: whatever bytes come, the server refuses or closes, and serves the next client."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http.edge_world import GET, Calling, echo, open_edge

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

fragments = st.sampled_from([
    b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.1\r\n", b"HEAD / HTTP/1.0\r\n", b"PRI * HTTP/2.0\r\n",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Connection: close\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: Upgrade\r\n",
    b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"\r\n", b"\n", b"\0", b"hello",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"x: " + b"y" * 500 + b"\r\n", b"\xff\xfe", GET, GET + GET,
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.one_of(fragments, st.binary(max_size=8)), max_size=12), max_size=4))
async def test_any_bytes_get_answers_or_a_close_and_the_next_client_is_served(
    clients: list[list[bytes]],
) -> None:
    limits = {"head_limit": 2000, "url_limit": 500, "body_limit": 100}
    async with open_edge(Calling(echo), **limits, head_timeout=0.01, body_timeout=0.01) as edge:
        for pieces in clients:
            client = await edge.connect()
            await client.send(b"".join(pieces))
            await client.stream.send_eof()  # type: ignore[attr-defined]
            for status in STATUS.findall(await client.rest()):
                assert status[:1] in b"124" or status in {b"501", b"505"}
        assert (await edge.request()).status == 200
        assert edge.state.counts.crashed == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.data())
async def test_a_client_may_leave_after_any_byte(cut: int, data: st.DataObject) -> None:
    requests = (
        GET + b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    )
    reset = data.draw(st.booleans())
    async with open_edge(Calling(echo)) as edge:
        client = await edge.connect()
        await client.send(requests[:cut])
        if reset:
            client.reset_on_leaving()
        await client.leave()
        await edge.until_open(0)
        assert edge.state.counts.crashed == 0
