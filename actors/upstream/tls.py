"""TLS on a wire: an `SSLObject` between two memory BIOs, so that nothing hides from epoll.

An `SSLSocket` may hold decrypted bytes while its descriptor is silent. Here every read of the
socket is decrypted to its end, and what TLS itself has to say (tickets, key updates, alerts) is
written at once.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

import trio

from sluice.actors.failures import UpstreamFault

from .wire import RECEIVE_SIZE, close_socket, nothing_to_read, shut_reading

ALPN: Final = ("http/1.1",)
"""All we speak; a provider that would rather speak HTTP/2 is told so in the handshake."""

RECORD_SIZE: Final = 16 * 1024
"""Plain bytes of one record at most (RFC 8446, 5.1)."""

_UNEXPECTED_EOF: Final = "UNEXPECTED_EOF_WHILE_READING"
"""OpenSSL 3's word for a cut, of which Python makes an `ssl.SSLEOFError` only in later releases."""

OWN_READS: Final = 8
"""Reads for which a peer that was asked nothing may talk TLS: tickets take one or two."""


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Verifies certificate and name against ``ca_file``, or else the system's certificates.

    Make one a provider and keep it: reading the system's certificates takes milliseconds.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(list(ALPN))
    # Python's patch releases differ in this: with it, a cut would look like a close_notify.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


class TlsWire:
    """TLS on ``connected``, a non-blocking socket, which it owns. `handshake` comes first."""

    __slots__ = ("_fault", "_incoming", "_outgoing", "_socket", "_tls", "_unsent")

    def __init__(
        self,
        connected: socket.socket,
        context: ssl.SSLContext,
        host: str,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._socket = connected
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=host, session=session
        )
        self._unsent = b""
        """Records that the socket has not taken."""
        self._fault: UpstreamFault | None = None
        """What stood behind the bytes of the last read."""

    @property
    def fd(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def holds_bytes(self) -> bool:
        """Whether encrypted bytes were read that are not decrypted: those behind a handshake."""
        return self._incoming.pending > 0

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume from."""
        return self._tls.session

    async def handshake(self) -> None:
        """Agree on keys and verify the peer. Raises `UpstreamFault` ("tls", "cut", "reset")."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as error:
                self._flush_nowait()
                raise UpstreamFault("tls", _reason(error)) from error
            else:
                await self._flush()
                return

    def recv(self, size: int, /) -> bytes:
        """Read up to ``size`` encrypted bytes and decrypt all there is.

        Empty after ``close_notify``; without one, the end of file is the fault "cut".
        """
        if self._fault is not None:
            raise self._fault
        if self._unsent:
            self._flush_nowait()
        data = self._socket.recv(size)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        try:
            plain = self._read_record()
            if self._incoming.pending:  # a record is read whole: within TLS nothing is left
                plain = self._read_records(plain)
        finally:
            if self._outgoing.pending:
                self._flush_nowait()
        return plain

    def send(self, data: bytes | memoryview, /) -> int:
        """Encrypt ``data`` as one; `BlockingIOError` while records of an earlier call wait."""
        self._flush_nowait()
        if self._unsent:
            raise BlockingIOError
        try:
            taken = self._tls.write(data)
        except ssl.SSLError as error:
            raise OSError(_reason(error)) from error
        self._flush_nowait()
        return taken

    async def wait_readable(self) -> None:
        """Wait for encrypted bytes; those of ours that are unsent go first."""
        await self._flush()
        if self._socket.fileno() < 0:  # closed meanwhile, which is no descriptor to wait for
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(self._socket)

    async def wait_writable(self) -> None:
        """Wait until all records are sent."""
        await self._flush()

    def is_quiet(self) -> bool:
        """Look, and let TLS have what is its own: tickets, key updates."""
        for _ in range(OWN_READS):
            if nothing_to_read(self._socket):
                return True
            try:
                self.recv(RECEIVE_SIZE)
            except BlockingIOError:
                continue
            except (OSError, UpstreamFault):
                return False
            return False
        return False

    def hang_up(self) -> None:
        """Shut the socket's reading side."""
        shut_reading(self._socket)

    def close(self) -> None:
        """Close the socket, without a ``close_notify``: the peer is to see it at once."""
        close_socket(self._socket)

    def abandon(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _read_record(self) -> bytes:
        try:
            return self._tls.read(RECORD_SIZE)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            if isinstance(error, ssl.SSLEOFError) or error.reason == _UNEXPECTED_EOF:
                raise UpstreamFault("cut", "TLS ended without close_notify") from error
            raise UpstreamFault("tls", _reason(error)) from error

    def _read_records(self, first: bytes) -> bytes:
        """``first`` and all records behind it; an end or a fault among them is for the next read.

        Hanging up makes the descriptor say that it is there.
        """
        parts = [first]
        try:
            while parts[-1]:
                parts.append(self._read_record())
        except BlockingIOError:
            return b"".join(parts)
        except UpstreamFault as fault:
            self._fault = fault
        self.hang_up()
        return b"".join(parts)

    def _flush_nowait(self) -> None:
        """Send what can be sent; a socket that fails will say so to whoever reads it."""
        self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""

    async def _flush(self) -> None:
        self._flush_nowait()
        while self._unsent:
            await trio.lowlevel.wait_writable(self._socket)
            self._flush_nowait()

    async def _fill(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except OSError as error:
            raise UpstreamFault("reset", str(error)) from error
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's words, without a peer's text in them."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or type(error).__name__
