"""When a link sends what it is given: at once what comes alone, the rest once a turn."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from sluice.actors.store import Op, Script, StoreUnavailable, command
from sluice.actors.store.entry import Entry
from sluice.actors.store.link import Link
from sluice.actors.store.plain_stream import PlainStream

OK = b"+OK\r\n"
NO_SCRIPT = b"-NOSCRIPT none\r\n"
SCRIPT = Script("return one")
MUCH = b"x" * (4 * 2**20)
"""More than a socket takes while nobody reads."""


class Wired:
    """A link that runs, and the server's end of its connection, which never waits."""

    def __init__(self) -> None:
        ours, self.server = socket.socketpair()
        self.server.setblocking(False)
        self.failures: list[str] = []
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        self.link = Link(PlainStream(stream), self.failures.append)

    def submit(self, text: str | bytes = "") -> Entry:
        """Give the link an operation."""
        return self.submit_op(command("ECHO", text))

    def submit_op(self, op: Op, due: float = float("inf")) -> Entry:
        """Likewise, of whatever kind."""
        entry = Entry(op, due)
        self.link.submit(entry)
        return entry

    def got(self) -> bytes:
        """What has come at the server since the last time."""
        got = b""
        while True:
            try:
                data = self.server.recv(2**20)
            except BlockingIOError:
                return got
            if not data:
                return got
            got += data

    async def answer(self, *entries: Entry) -> None:
        """Answer them, in one piece; return when each has its answer."""
        self.server.sendall(OK * len(entries))
        for entry in entries:
            assert await entry.wait() == b"OK"


@asynccontextmanager
async def wired() -> AsyncIterator[Wired]:
    """One of which nothing is known yet."""
    wires = Wired()
    with wires.server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires.link.run)
            await wait_all_tasks_blocked()
            yield wires
            nursery.cancel_scope.cancel()


async def alone(wires: Wired) -> None:
    """Have it see an operation that comes alone."""
    entry = wires.submit()
    await wait_all_tasks_blocked()
    assert wires.got() == entry.op.packed()
    await wires.answer(entry)


async def test_the_first_operation_waits_for_its_turn() -> None:
    async with wired() as wires:
        entries = [wires.submit("a"), wires.submit("b")]
        assert wires.got() == b""
        await wait_all_tasks_blocked()
        assert wires.got() == b"".join(entry.op.packed() for entry in entries)


async def test_one_that_comes_alone_after_one_that_was_alone_is_sent_at_once() -> None:
    async with wired() as wires:
        await alone(wires)
        for text in ("a", "b"):
            entry = wires.submit(text)
            assert wires.got() == entry.op.packed()
            await wires.answer(entry)


async def test_what_comes_while_it_is_under_way_is_gathered() -> None:
    async with wired() as wires:
        await alone(wires)
        first = wires.submit("first")
        assert wires.got() == first.op.packed()
        others = [wires.submit("second"), wires.submit("third")]
        assert wires.got() == b""
        await wait_all_tasks_blocked()
        assert wires.got() == b"".join(entry.op.packed() for entry in others)
        await wires.answer(first, *others)
        last = wires.submit("after several were answered")
        assert wires.got() == b""
        await wait_all_tasks_blocked()
        assert wires.got() == last.op.packed()


async def test_what_comes_after_a_lone_answer_while_another_is_under_way_is_gathered() -> None:
    async with wired() as wires:
        entries = [wires.submit("first"), wires.submit("second")]
        await wait_all_tasks_blocked()
        wires.got()
        await wires.answer(entries[0])
        entries += [wires.submit("third"), wires.submit("fourth")]
        assert wires.got() == b""
        await wait_all_tasks_blocked()
        assert wires.got() == b"".join(entry.op.packed() for entry in entries[2:])
        await wires.answer(*entries[1:])


async def test_what_the_socket_does_not_take_at_once_follows_in_order() -> None:
    async with wired() as wires:
        await alone(wires)
        entries = [wires.submit(MUCH), wires.submit("behind it")]
        expected = b"".join(entry.op.packed() for entry in entries)
        got = b""
        for _ in range(len(expected) // 2**16):
            got += wires.got()
            await wait_all_tasks_blocked()
        assert got == expected
        await wires.answer(*entries)


async def test_where_the_server_has_gone_who_asks_alone_is_told_and_so_is_the_channel() -> None:
    async with wired() as wires:
        await alone(wires)
        wires.server.close()
        entry = wires.submit()
        with pytest.raises(StoreUnavailable):
            await entry.wait()
        assert len(wires.failures) == 1
        with pytest.raises(StoreUnavailable):
            wires.submit()


async def script_is_forgotten(wires: Wired, together: Script | None) -> tuple[Entry, bytes]:
    """One that the server does not know, asked just before a lone one was answered.

    It, and what it must be sent as again.
    """
    await alone(wires)
    first = wires.submit("first")
    script = wires.submit_op(SCRIPT.on(["a"], together=together))
    await wait_all_tasks_blocked()
    wires.got()
    await wires.answer(first)
    return script, script.op.packed_with_source()


@pytest.mark.parametrize("together", [None, Script("return many")])
async def test_what_is_asked_again_with_its_source_keeps_its_place(together: Script | None) -> None:
    async with wired() as wires:
        script, again = await script_is_forgotten(wires, together)
        wires.server.sendall(NO_SCRIPT)
        await wait_all_tasks_blocked()
        behind = wires.submit("behind it")
        await wait_all_tasks_blocked()
        assert wires.got() == again + behind.op.packed()
        wires.server.sendall(b"+script\r\n+behind\r\n")
        assert [await script.wait(), await behind.wait()] == [b"script", b"behind"]


@pytest.mark.parametrize("together", [None, Script("return many")])
async def test_where_it_cannot_be_asked_again_who_asked_is_told(together: Script | None) -> None:
    async with wired() as wires:
        script, _ = await script_is_forgotten(wires, together)
        wires.server.shutdown(socket.SHUT_RD)
        wires.server.sendall(NO_SCRIPT)
        with pytest.raises(StoreUnavailable):
            await script.wait()
        assert len(wires.failures) == 1


async def test_the_answer_to_one_who_was_cancelled_goes_to_nobody_else() -> None:
    async with wired() as wires:
        await alone(wires)
        entry = wires.submit("sent at once")
        with trio.CancelScope() as scope:
            scope.cancel()
            await entry.wait()
        assert scope.cancelled_caught
        other = wires.submit("other")
        wires.server.sendall(b"+late\r\n+other\r\n")
        assert await other.wait() == b"other"
        assert await entry.wait() == b"late"


async def test_one_sent_at_once_is_waited_for_until_it_is_due_and_no_longer(
    autojump_clock: MockClock,
) -> None:
    async with wired() as wires:
        await alone(wires)
        began = trio.current_time()
        late = wires.submit_op(command("GET", "late"), began + 2)
        soon = wires.submit_op(command("GET", "soon"), began + 1)
        wires.server.sendall(OK)
        assert await late.wait() == b"OK"
        with pytest.raises(StoreUnavailable, match="in time"):
            await soon.wait()
        assert trio.current_time() - began == pytest.approx(1)


async def test_a_part_that_the_socket_took_is_followed_by_its_rest_after_a_cancellation() -> None:
    async with wired() as wires:
        await alone(wires)
        much = wires.submit(MUCH)
        with trio.move_on_after(0):
            await much.wait()
        behind = wires.submit("behind it")
        expected, got = much.op.packed() + behind.op.packed(), b""
        for _ in range(len(expected) // 2**16):
            got += wires.got()
            await wait_all_tasks_blocked()
        assert got == expected
        await wires.answer(much, behind)


async def test_once_it_has_ended_nothing_is_sent_and_nobody_waits() -> None:
    async with wired() as wires:
        await alone(wires)
        entry = wires.submit("under way")
    with pytest.raises(StoreUnavailable, match="was closed"):
        await entry.wait()
    with pytest.raises(StoreUnavailable, match="was closed"):
        wires.submit("too late")
    assert wires.failures == []
