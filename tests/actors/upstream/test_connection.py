from __future__ import annotations

import os
import select
import socket
import struct

import pytest
import trio
from tests.actors.upstream.loopback import (
    REQUEST,
    body_of,
    chunked,
    client_tls,
    counted,
    keeps_saying,
    open_sockets,
    read_request,
    says,
    served,
    server_tls,
    until,
)

from sluice.actors.failures import UpstreamFault
from sluice.actors.upstream import Origin, UpstreamConnection, dial
from sluice.actors.upstream.wire import PlainWire


async def asked(origin: Origin) -> UpstreamConnection:
    """A connection on which the head of a response has been read."""
    connection = await dial(origin, client_tls() if origin.secure else None, 5)
    await connection.request(REQUEST)
    await connection.read_head()
    return connection


def is_complete(connection: UpstreamConnection) -> bool:
    return connection.complete


def pair() -> tuple[UpstreamConnection, socket.socket]:
    """A connection and its peer, without a server."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return UpstreamConnection(PlainWire(ours)), theirs


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    "answer", [counted(b"hello"), chunked(b"he", b"llo"), b"HTTP/1.1 200 OK\r\n\r\nhello"]
)
async def test_a_body_is_read_to_its_end_however_it_is_framed(answer: bytes, secure: bool) -> None:
    async with served(says(answer), server_tls() if secure else None) as origin:
        connection = await asked(origin)
        assert await body_of(connection) == b"hello"
        assert connection.complete
        connection.close()


async def test_body_bytes_that_came_with_the_head_are_owed_until_they_are_received() -> None:
    connection, peer = pair()
    peer.sendall(counted(b"hello"))
    await connection.request(REQUEST)
    await connection.read_head()
    assert not is_complete(connection)
    assert connection.receive_nowait() == b"hello"
    assert is_complete(connection)
    assert connection.reusable
    assert await connection.receive() == b""
    connection.close()
    peer.close()


async def test_a_head_alone_leaves_nothing_to_take_without_reading() -> None:
    connection, peer = pair()
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    await connection.request(REQUEST)
    await connection.read_head()
    with pytest.raises(BlockingIOError):
        connection.receive_nowait()
    peer.sendall(b"x")
    assert connection.receive_nowait() == b"x"
    connection.close()
    peer.close()


async def test_one_call_makes_one_read_of_64_kb_at_most() -> None:
    connection, peer = pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    await connection.request(REQUEST)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n")
    await connection.read_head()
    with pytest.raises(BlockingIOError):
        connection.receive_nowait()
    peer.sendall(b"x" * 150_000)
    sizes = [len(connection.receive_nowait()) for _ in range(3)]
    assert max(sizes) <= 64 * 1024
    connection.close()
    peer.close()


@pytest.mark.parametrize(
    "answer",
    [counted(b"hello")[:-2], chunked(b"hel", b"lo", end=b""), b"HTTP/1.1 200 OK\r\nA: b\r\n"],
)
@pytest.mark.parametrize("secure", [False, True])
async def test_an_end_before_the_framing_says_so_is_a_cut(answer: bytes, secure: bool) -> None:
    async with served(says(answer), server_tls() if secure else None) as origin:
        connection = await dial(origin, client_tls(), 5)
        await connection.request(REQUEST)
        with pytest.raises(UpstreamFault, match="cut"):
            await read_all(connection)
        assert not connection.reusable
        connection.close()


async def read_all(connection: UpstreamConnection) -> bytes:
    await connection.read_head()
    return await body_of(connection)


async def test_a_reset_is_told_as_a_reset() -> None:
    async def resets(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(chunked(b"hello", end=b""))
        assert isinstance(stream, trio.SocketStream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with served(resets) as origin:
        connection = await dial(origin, None, 5)
        await connection.request(REQUEST)
        with pytest.raises(UpstreamFault, match="reset"):
            await read_all(connection)
        connection.close()


async def test_bytes_before_a_fault_in_one_read_come_before_the_fault() -> None:
    connection, peer = pair()
    await connection.request(REQUEST)
    peer.sendall(chunked(end=b""))
    await connection.read_head()
    with pytest.raises(BlockingIOError):
        connection.receive_nowait()
    peer.sendall(b"5\r\nhello\r\nGARBAGE\r\n")
    assert connection.receive_nowait() == b"hello"
    assert not connection.complete
    assert select.select([connection.fd], [], [], 0)[0], "the pump would never ask again"
    with pytest.raises(UpstreamFault, match="protocol"):
        connection.receive_nowait()
    connection.close()
    peer.close()


async def test_garbage_instead_of_a_head_is_a_fault_of_the_protocol() -> None:
    async with served(says(b"SSH-2.0-OpenSSH\r\n")) as origin:
        connection = await dial(origin, None, 5)
        await connection.request(REQUEST)
        with pytest.raises(UpstreamFault, match="protocol"):
            await connection.read_head()
        connection.close()


async def test_several_requests_follow_each_other_on_one_connection() -> None:
    async with served(keeps_saying(chunked(b"hello"))) as origin:
        connection = await dial(origin, None, 5)
        for number in range(1, 4):
            await connection.request(REQUEST)
            assert (await connection.read_head()).status == 200
            assert await body_of(connection) == b"hello"
            assert connection.reusable
            assert connection.requests == number
        connection.close()


async def test_a_request_larger_than_the_sockets_buffers_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    received = b""

    async def server(stream: trio.abc.Stream) -> None:
        nonlocal received
        received = await read_request(stream)
        await stream.send_all(counted(b"ok"))

    async with served(server) as origin:
        connection = await dial(origin, None, 5)
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        await connection.request(head + body)
        await connection.read_head()
        assert received == head + body
        connection.close()


async def test_an_early_refusal_of_a_large_request_is_read_although_the_write_failed() -> None:
    connection, peer = pair()
    peer.sendall(counted(b"too large"))
    peer.shutdown(socket.SHUT_RD)
    await connection.request(REQUEST)
    assert (await connection.read_head()).status == 200
    assert await connection.receive() == b"too large"
    connection.close()
    peer.close()


async def test_an_idle_connection_that_the_provider_closed_is_stale() -> None:
    await trio.lowlevel.checkpoint()  # closing needs a loop to run in
    connection, peer = pair()
    assert not connection.is_stale()
    peer.close()
    assert connection.is_stale()
    connection.close()
    assert connection.is_stale()


async def test_an_idle_connection_on_which_bytes_came_is_stale() -> None:
    await trio.lowlevel.checkpoint()  # closing needs a loop to run in
    connection, peer = pair()
    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert connection.is_stale()
    connection.close()
    peer.close()


async def test_closing_reaches_the_provider_at_once_and_wakes_who_waits() -> None:
    connection, peer = pair()
    await connection.request(REQUEST)
    peer.recv(1000)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await connection.read_head()

        await trio.testing.wait_all_tasks_blocked()
        connection.close()
        assert peer.recv(1000) == b""
    connection.close()
    assert connection.fd == -1
    peer.close()


def test_a_connection_that_nobody_has_any_more_closes_its_socket() -> None:
    connection, peer = pair()
    del connection
    assert peer.recv(1) == b""
    peer.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_task_cancelled_at_any_point_leaves_no_socket_behind(secure: bool) -> None:
    """Cancelled after 0, 1, 2, ... passes of the scheduler, until it is not in time any more."""
    answer = chunked(b"x" * 5000, b"y" * 5000)
    context = client_tls()

    async def exchange(origin: Origin) -> None:
        connection = await dial(origin, context, 5)
        try:
            await connection.request(REQUEST)
            await read_all(connection)
        finally:
            connection.close()

    async with served(keeps_saying(answer), server_tls() if secure else None) as origin:
        before = open_sockets()
        for passes in range(200):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(exchange, origin)
                for _ in range(passes):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        await until(lambda: open_sockets() <= before)


async def test_faults_of_connecting_are_told_apart() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(UpstreamFault, match="refused"):
            await dial(Origin("127.0.0.1", port, secure=False), None, 5)
        with pytest.raises(UpstreamFault, match="unreachable"):
            await dial(Origin("no-such-host.invalid", port, secure=False), None, 5)


async def test_a_handshake_that_stalls_ends_with_the_connect_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        origin = Origin("127.0.0.1", silent.getsockname()[1], secure=True)
        before = open_sockets()
        with pytest.raises(UpstreamFault, match="connect_timeout"):
            await dial(origin, client_tls(), 5)
        assert open_sockets() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_an_address_of_either_family_and_a_name_are_dialled_without_delay(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        connection = await dial(Origin(host, port, secure=False), None, 5)
        theirs, _ = server.accept()
        with theirs:
            assert is_without_delay(connection.fd)
            connection.close()
            assert theirs.recv(1) == b""


def is_without_delay(descriptor: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as same:
        return bool(same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
