"""A response on a wire that notes its writes: what leaves together, and in which order."""

from __future__ import annotations

from typing import cast

import pytest

from sluice.actors.failures import ClientLeft
from sluice.http.edge_settings import EdgeSettings
from sluice.http.http1.bodies import Bodies
from sluice.http.http1.body_reader import BodyReader
from sluice.http.http1.head import HeadReader
from sluice.http.http1.response import Response
from sluice.http.http1.wire import Wire

SETTINGS = EdgeSettings()


class FakeWire:
    """The writing half of a `Wire`: takes what `room` has place for, and notes each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.room = 1_000_000
        self.left = False
        self.woken = 0

    def send_nowait(self, data: bytes | memoryview) -> int:
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.writes.append(taken)
        return len(taken)

    async def send(self, data: bytes, timeout: float) -> None:
        if self.left:
            raise ClientLeft
        self.writes.append(data)

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


def respond_on(
    wire: FakeWire, first: bytes = b"GET / HTTP/1.1", *, goes_on: bool = True
) -> Response:
    as_wire = cast("Wire", wire)
    found = HeadReader(SETTINGS).feed(first + b"\r\nHost: a\r\n\r\n")
    assert found is not None
    body = BodyReader(as_wire, found[0], SETTINGS, Bodies(1000))
    return Response(as_wire, found[0], body, lambda: goes_on)


async def test_the_head_and_the_first_bytes_are_one_write(wire: FakeWire) -> None:
    response = respond_on(wire)
    response.start(200, [(b"a", b"b")])
    assert wire.writes == []
    await response.send(response.frame(b"one"), 1)
    await response.send(response.frame(b"two"), 1)
    await response.end(response.frame(b"three"), 1)
    head, _, body = wire.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\na: b\r\n")
    assert body == b"3\r\none\r\n"
    assert wire.writes[1:] == [b"3\r\ntwo\r\n", b"5\r\nthree\r\n0\r\n\r\n"]
    assert response.keep_alive
    assert wire.woken == 1


async def test_a_whole_response_is_one_write(wire: FakeWire) -> None:
    await respond_on(wire).respond(404, [], b"none", 1)
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"content-length: 4\r\n\r\nnone")


async def test_an_empty_response_is_one_write(wire: FakeWire) -> None:
    response = respond_on(wire)
    response.start(200, [])
    await response.end(b"", 1)
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"\r\n\r\n0\r\n\r\n")


def test_the_pumps_first_bytes_take_the_head_with_them_and_it_does_not_count(
    wire: FakeWire,
) -> None:
    response = respond_on(wire)
    response.start(200, [])
    assert response.send_nowait(b"12345") == 5
    assert response.send_nowait(b"678") == 3
    assert [
        write.endswith(end) for write, end in zip(wire.writes, [b"\r\n12345", b"678"], strict=True)
    ]


@pytest.mark.parametrize("part", [0, 1, 50])
async def test_the_rest_of_a_head_precedes_everything(wire: FakeWire, part: int) -> None:
    response = respond_on(wire)
    response.start(200, [(b"x", b"y" * 100)])
    wire.room = part
    assert response.send_nowait(b"12345") == 0
    wire.room = 1_000_000
    await response.send(b"12345", 1)
    sent = b"".join(wire.writes)
    assert sent.startswith(b"HTTP/1.1 200 OK\r\nx: yyy")
    assert sent.endswith(b"\r\n\r\n12345")
    assert sent.count(b"HTTP/1.1") == 1


async def test_a_server_that_stops_says_close_and_so_does_a_client_that_asks_for_it(
    wire: FakeWire,
) -> None:
    stopping = respond_on(wire, goes_on=False)
    asked = respond_on(wire, b"GET / HTTP/1.1\r\nConnection: close")
    for response in (stopping, asked):
        await response.respond(200, [], b"", 1)
        assert not response.keep_alive
        assert b"connection: close" in wire.writes[-1]


async def test_a_response_that_did_not_leave_is_not_complete(wire: FakeWire) -> None:
    response = respond_on(wire)
    response.start(200, [])
    wire.left = True
    with pytest.raises(ClientLeft):
        await response.end(b"", 1)
    assert not response.complete
    assert not response.keep_alive


def test_it_shows_its_state(wire: FakeWire) -> None:
    response = respond_on(wire)
    assert repr(response) == "<Response to GET /: new>"
    response.start(200, [])
    assert repr(response) == "<Response to GET /: started>"
