from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress

import pytest
import trio
import trustme
from tests.actors.upstream.loopback import (
    REQUEST,
    body_of,
    chunked,
    client_tls,
    counted,
    keeps_saying,
    open_sockets,
    polled,
    read_request,
    says,
    served,
    server_tls,
    until,
)

from sluice.actors.failures import UpstreamFault
from sluice.actors.upstream import Origin, UpstreamConnection, client_context, dial
from sluice.actors.upstream.tls import TlsWire


class Server:
    """The other end of a `TlsWire`, moved by hand."""

    def __init__(self, theirs: socket.socket) -> None:
        self.socket = theirs
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = server_tls().wrap_bio(self.incoming, self.outgoing, server_side=True)

    async def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                await trio.lowlevel.wait_readable(self.socket)
                self.incoming.write(self.socket.recv(65536))
            else:
                self.flush()
                return

    def write(self, *records: bytes) -> bytes:
        """Records, encrypted, not sent yet."""
        for record in records:
            self.tls.write(record)
        return self.outgoing.read()

    def close_notify(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    def leave(self) -> None:
        """Close TCP, without a word of TLS's, having read all: else the kernel sends a reset."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            self.socket.recv(65536)
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.outgoing.read())


async def pair() -> tuple[UpstreamConnection, Server]:
    """A connection over TLS and its peer, both past the handshake."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    server = Server(theirs)
    wire = TlsWire(ours, client_tls(), "localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.handshake)
        nursery.start_soon(wire.handshake)
    return UpstreamConnection(wire), server


async def streaming() -> tuple[UpstreamConnection, Server]:
    """The same, with a chunked response begun."""
    connection, server = await pair()
    await connection.request(REQUEST)
    server.socket.sendall(server.write(chunked(end=b"")))
    await connection.read_head()
    with pytest.raises(BlockingIOError):
        connection.receive_nowait()
    return connection, server


def closed(connection: UpstreamConnection, server: Server) -> None:
    connection.close()
    server.socket.close()


async def test_many_records_in_one_read_are_all_decrypted_so_that_nothing_hides_from_epoll() -> (
    None
):
    connection, server = await streaming()
    server.socket.sendall(server.write(*[b"1\r\n%d\r\n" % number for number in range(10)]))
    assert connection.receive_nowait() == b"0123456789"
    with pytest.raises(BlockingIOError):
        connection.receive_nowait()
    closed(connection, server)


async def test_a_record_split_over_reads_is_nothing_until_it_is_whole() -> None:
    connection, server = await streaming()
    record = server.write(b"5\r\nhello\r\n")
    for at in range(len(record) - 1):
        server.socket.sendall(record[at : at + 1])
        with pytest.raises(BlockingIOError):
            connection.receive_nowait()
    server.socket.sendall(record[-1:])
    assert connection.receive_nowait() == b"hello"
    closed(connection, server)


async def test_close_notify_behind_bytes_in_one_read_keeps_the_descriptor_readable() -> None:
    connection, server = await pair()
    await connection.request(REQUEST)
    server.socket.sendall(server.write(b"HTTP/1.1 200 OK\r\n\r\n"))
    await connection.read_head()
    with pytest.raises(BlockingIOError):
        connection.receive_nowait()
    # The peer leaves TCP open: nothing more will ever arrive.
    server.socket.sendall(server.write(b"hel", b"lo") + server.close_notify())
    assert polled(connection) == b"hello"
    assert not connection.reusable
    closed(connection, server)


async def test_an_end_without_close_notify_is_a_cut_even_where_the_file_ends_the_body() -> None:
    connection, server = await pair()
    await connection.request(REQUEST)
    server.socket.sendall(server.write(b"HTTP/1.1 200 OK\r\n\r\nhello"))
    await connection.read_head()
    assert await connection.receive() == b"hello"
    server.leave()
    with pytest.raises(UpstreamFault, match="cut"):
        await connection.receive()
    connection.close()


async def test_an_end_without_close_notify_after_a_complete_body_is_no_fault() -> None:
    connection, server = await streaming()
    server.socket.sendall(server.write(b"5\r\nhello\r\n0\r\n\r\n"))
    server.leave()
    assert await body_of(connection) == b"hello"
    assert connection.is_stale()
    connection.close()


async def test_a_broken_record_behind_bytes_is_a_fault_after_the_bytes() -> None:
    connection, server = await streaming()
    good, bad = server.write(b"5\r\nhello\r\n"), bytearray(server.write(b"5\r\nworld\r\n"))
    bad[-1] ^= 1
    server.socket.sendall(good + bad)
    assert connection.receive_nowait() == b"hello"
    with pytest.raises(UpstreamFault, match="tls"):
        polled(connection)
    closed(connection, server)


async def test_tickets_and_key_updates_are_no_bytes_and_do_not_make_an_idle_connection_stale() -> (
    None
):
    connection, server = await pair()  # the server's tickets are in the socket, unread
    assert not connection.is_stale()
    server.leave()
    assert connection.is_stale()
    connection.close()


async def test_a_large_request_is_sent_whole() -> None:
    received = b""

    async def server(stream: trio.abc.Stream) -> None:
        nonlocal received
        received = await read_request(stream)
        await stream.send_all(counted(b"ok"))

    body = bytes(range(256)) * 20_000
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with served(server, server_tls()) as origin:
        connection = await dial(origin, client_tls(), 5)
        await connection.request(request)
        await connection.read_head()
        assert received == request
        connection.close()


async def test_a_large_answer_is_read_as_the_pump_reads_it() -> None:
    body = bytes(range(256)) * 8_000
    async with served(says(counted(body)), server_tls()) as origin:
        connection = await dial(origin, client_tls(), 5)
        await connection.request(REQUEST)
        await connection.read_head()
        first = connection.receive_nowait() if not connection.complete else b""
        rest = await trio.to_thread.run_sync(polled, connection)
        assert first + rest == body
        connection.close()


async def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    async with served(says(counted(b"")), server_tls()) as origin:
        with pytest.raises(UpstreamFault, match="tls: unable to get local issuer certificate"):
            await dial(origin, client_context(), 5)


async def test_a_certificate_for_another_name_is_refused() -> None:
    async with served(says(counted(b"")), server_tls("elsewhere.example")) as origin:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(UpstreamFault, match=r"tls: .*mismatch"):
                await dial(Origin(host, origin.port, secure=True), client_tls(), 5)


async def test_names_and_addresses_are_verified() -> None:
    async with served(keeps_saying(counted(b"hello")), server_tls()) as origin:
        for host in ("127.0.0.1", "localhost"):
            connection = await dial(Origin(host, origin.port, secure=True), client_tls(), 5)
            await connection.request(REQUEST)
            await connection.read_head()
            assert await body_of(connection) == b"hello"
            connection.close()


async def test_an_own_authority_may_be_given_as_a_file() -> None:
    own = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.issue_cert("127.0.0.1").configure_cert(context)
    async with served(keeps_saying(counted(b"")), context) as origin:
        with own.cert_pem.tempfile() as path:
            connection = await dial(origin, client_context(path), 5)
        connection.close()


async def test_a_server_that_does_not_speak_tls_is_refused() -> None:
    async def plain(stream: trio.abc.Stream) -> None:
        await stream.receive_some(10)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with served(plain) as origin:
        with pytest.raises(UpstreamFault, match="tls"):
            await dial(Origin(origin.host, origin.port, secure=True), client_tls(), 5)


async def test_only_http_1_1_is_offered() -> None:
    context = server_tls()
    context.set_alpn_protocols(["h2", "http/1.1"])
    chosen = []

    async def server(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SSLStream)
        await stream.do_handshake()
        chosen.append(stream.selected_alpn_protocol())

    async with served(server, context) as origin:
        connection = await dial(origin, client_tls(), 5)
        await until(lambda: bool(chosen))
        connection.close()
    assert chosen == ["http/1.1"]


async def test_a_reset_within_the_handshake_is_told_as_a_reset() -> None:
    async def resets(stream: trio.abc.Stream) -> None:
        await stream.receive_some(10)
        assert isinstance(stream, trio.SocketStream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with served(resets) as origin:
        with pytest.raises(UpstreamFault, match="reset"):
            await dial(Origin(origin.host, origin.port, secure=True), client_tls(), 5)


async def test_a_peer_that_hangs_up_within_the_handshake_is_a_fault_of_tls() -> None:
    async def hangs_up(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65536)

    async with served(hangs_up) as origin:
        with pytest.raises(UpstreamFault, match="tls"):
            await dial(Origin(origin.host, origin.port, secure=True), client_tls(), 5)


async def test_a_secure_origin_without_a_context_is_refused_and_leaves_no_socket() -> None:
    async with served(says(counted(b""))) as origin:
        before = open_sockets()
        with pytest.raises(UpstreamFault, match="tls"):
            await dial(Origin(origin.host, origin.port, secure=True), None, 5)
        await until(lambda: open_sockets() <= before)


async def test_while_records_wait_for_the_socket_nothing_more_is_taken() -> None:
    connection, server = await pair()
    wire = connection._wire
    assert wire.send(b"x" * 10_000_000) == 10_000_000
    with pytest.raises(BlockingIOError):
        wire.send(b"y")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain, server.socket)
        await wire.wait_writable()
        nursery.cancel_scope.cancel()
    assert wire.send(b"y") == 1
    closed(connection, server)


async def drain(peer: socket.socket) -> None:
    """Read whatever comes, until cancelled."""
    while True:
        await trio.lowlevel.wait_readable(peer)
        peer.recv(1 << 20)


async def test_a_wire_that_was_closed_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        wire = TlsWire(ours, client_tls(), "localhost")
        wire.close()
        for _ in range(2):
            with pytest.raises(trio.ClosedResourceError):
                await wire.wait_readable()
