"""The control server and those that mean it harm: each is bounded, and the others go on."""

from __future__ import annotations

import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.service.operators_world import until
from trio_websocket import ConnectionRejected, wrap_client_stream

from sluice.actors.breakers.breaker import BreakerOrder
from sluice.ops.control import server as server_module
from sluice.ops.control.client import Gone, NotReachable, open_client
from sluice.ops.control.figures import Glance
from sluice.ops.control.place import CannotListen, Place, connect, listening
from sluice.ops.control.protocol import (
    COMMAND_LIMIT,
    SUBPROTOCOL,
    BreakerStatus,
    Draining,
    Error,
    Events,
    Happened,
    LevelSet,
    LimitKind,
    LimitsSet,
    LogLevel,
    Node,
    Outcome,
    Refused,
    Restart,
    ServiceStatus,
    Tree,
    read_frame,
)
from sluice.ops.control.server import CLIENTS, open_control
from sluice.ops.control.session import ENDED_SAYS, IN_FLIGHT, QUEUE

pytestmark = pytest.mark.real

PATIENCE = 30.0
NODE = Node(path="", id="root", kind="supervisor", process="p", state="running", incarnation=1, restarts=0)  # fmt: skip  # noqa: E501


class Fake:
    """A service without actors: a restart takes until it is let."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[Happened], None]] = []
        self.let = trio.Event()
        self.restarted = 0

    async def status(self) -> ServiceStatus:
        raise Refused("failed", "no status")

    async def tree(self) -> Node:
        return NODE

    async def restart(self, path: str) -> Outcome:
        await self.let.wait()
        self.restarted += 1
        return Outcome("restarted", path, "running", 2, "", 0.0)

    async def pause(self, path: str) -> Outcome:
        raise Refused("not_possible", f"{path} cannot be paused")

    resume = stop = pause

    def drain(self) -> Draining:
        return Draining(0, 0.0)

    async def log_level(self, level: LogLevel | None) -> LevelSet:
        return LevelSet(level or "info", "info")

    async def breaker(self, name: str, order: BreakerOrder | None) -> list[BreakerStatus]:
        raise Refused("unknown_breaker", f"there is no {name} to {order}")

    async def limit(self, kind: LimitKind | None, rate: str | None) -> LimitsSet:
        return LimitsSet({}, {})

    async def glance(self) -> Glance:
        return Glance(at=trio.current_time())

    def listen(self, on_happened: Callable[[Happened], None]) -> Callable[[], None]:
        self.watchers.append(on_happened)
        return lambda: self.watchers.remove(on_happened)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(f"unix:{tmp_path}/own/control.sock")


@pytest.fixture
async def fake(place: Place) -> AsyncIterator[Fake]:
    fake = Fake()
    async with open_control(place, lambda: fake):
        yield fake


async def still_serves(place: Place) -> None:
    with trio.fail_after(PATIENCE):
        async with open_client(place) as client:
            assert await client.ask(Tree) == NODE


async def rejected(place: Place, path: str = "/control", **options: Any) -> int:
    """The HTTP status with which a handshake is refused."""
    options.setdefault("subprotocols", [SUBPROTOCOL])
    async with await connect(place) as stream:
        try:
            async with trio.open_nursery() as nursery:
                await wrap_client_stream(nursery, stream, "x", path, **options)
        except* ConnectionRejected as refused:
            (error,) = refused.exceptions
    assert isinstance(error, ConnectionRejected)
    return error.status_code


def test_the_socket_is_its_owners_alone_and_gone_afterwards(place: Place) -> None:
    file = Path(str(place.path))
    with listening(place):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        with pytest.raises(CannotListen, match="another service that runs"), listening(place):
            pass
        assert file.exists()
    assert not file.exists()


def test_the_socket_of_a_dead_process_is_replaced_and_no_other_file_is(place: Place) -> None:
    file = Path(str(place.path))
    file.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(file))
    with listening(place):
        pass
    file.write_text("mine")
    with pytest.raises(CannotListen, match="is no socket"), listening(place):
        pass
    assert file.read_text() == "mine"


async def test_a_web_page_another_path_and_another_version_are_refused(
    fake: Fake, place: Place
) -> None:
    assert await rejected(place, extra_headers=[(b"Origin", b"http://evil")]) == 403
    assert await rejected(place, "/") == 404
    assert await rejected(place, subprotocols=["sluice.control.v9"]) == 400
    await still_serves(place)


async def test_over_tcp_only_the_right_token_gets_in() -> None:
    with pytest.raises(CannotListen, match="needs a token"), listening(Place("127.0.0.1:0")):
        pass
    fake = Fake()
    with listening(Place("127.0.0.1:0", "x")) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    async with open_control(Place(address, "s3cret"), lambda: fake):
        for wrong in (None, "wrong", "s3cret2"):
            with pytest.raises(NotReachable, match="token") as raised:
                async with open_client(Place(address, wrong)):
                    pass
            assert "s3cret" not in str(raised.value)
        await still_serves(Place(address, "s3cret"))
    assert "s3cret" not in repr(Place(address, "s3cret"))


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 5000, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70_000, b"PRI * HTTP/2.0\r\n"]
)
async def test_garbage_costs_nobody_else_anything(fake: Fake, place: Place, garbage: bytes) -> None:
    for _ in range(20):
        stream = await connect(place)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(garbage)
        await stream.aclose()
    await still_serves(place)


async def test_garbage_after_the_handshake_and_huge_frames_end_only_that_client(
    fake: Fake, place: Place
) -> None:
    async with open_client(place) as client:
        await client._socket._stream.send_all(b"\xff\xff\xff\xff" * 100)
        with pytest.raises(Gone):
            await client.ask(Tree)
    async with open_client(place) as client:
        with pytest.raises(Gone):
            await client.ask(Restart, path="x" * (COMMAND_LIMIT + 1))
    await still_serves(place)


async def test_what_is_no_command_is_answered_and_the_client_may_go_on(
    fake: Fake, place: Place
) -> None:
    stream = await connect(place)
    async with stream, trio.open_nursery() as nursery:
        client = await wrap_client_stream(
            nursery, stream, "x", "/control", subprotocols=[SUBPROTOCOL]
        )
        for words in ("{", '{"command": "explode", "id": 4}', b"\x00"):
            await client.send_message(words)
            answer = read_frame(await client.get_message())
            assert isinstance(answer, Error)
            assert answer.code == "invalid"
        await client.aclose()


async def test_those_that_only_connect_are_sent_away(
    fake: Fake, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_TIMEOUT", 0.2)
    streams = [await connect(place) for _ in range(server_module.CONNECTIONS)]
    with trio.fail_after(PATIENCE):
        for stream in streams:
            assert await stream.receive_some() == b""
            await stream.aclose()
    await still_serves(place)


async def test_one_client_too_many_is_told_so(fake: Fake, place: Place) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            await nursery.start(stay, place)
        with pytest.raises(NotReachable, match="connected already"):
            async with open_client(place):
                pass
        nursery.cancel_scope.cancel()
    with trio.fail_after(PATIENCE):
        while True:
            try:
                return await still_serves(place)
            except NotReachable:
                await trio.sleep(0.01)


async def stay(  # noqa: ASYNC114 -- only tests start it
    place: Place, task_status: trio.TaskStatus[None]
) -> None:
    async with open_client(place):
        task_status.started()
        await trio.sleep_forever()


async def test_a_flood_of_commands_is_bounded_and_each_command_answered(
    fake: Fake, place: Place
) -> None:
    answers: list[str] = []

    async def ask() -> None:
        try:
            await client.ask(Restart, path="x")
        except Refused as refusal:
            answers.append(refusal.code)
        else:
            answers.append("done")

    with trio.fail_after(PATIENCE):
        async with open_client(place) as client, trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
            await until(lambda: len(answers) >= 100 - IN_FLIGHT)
            fake.let.set()
    assert answers == ["busy"] * (100 - IN_FLIGHT) + ["done"] * IN_FLIGHT


async def test_a_command_is_carried_out_though_the_operator_left(fake: Fake, place: Place) -> None:
    async with open_client(place) as client:
        with trio.move_on_after(0.2):
            await client.ask(Restart, path="x")
    fake.let.set()
    await until(lambda: fake.restarted == 1)


async def test_who_does_not_read_events_is_cut_off_and_nobody_else(
    fake: Fake, place: Place
) -> None:
    async with open_client(place) as client:
        await client.ask(Events)
        big = Happened(kind="x", at="", path="p", process="p", detail="x" * 100_000)
        (watcher,) = fake.watchers
        with trio.fail_after(PATIENCE):
            for _ in range(QUEUE + 100):
                watcher(big)
            await until(lambda: not fake.watchers)
        assert "too slowly" in await client.wait_gone()
    await still_serves(place)


async def test_the_end_of_the_service_is_told(place: Place) -> None:
    fake = Fake()
    async with trio.open_nursery() as nursery:
        reasons: list[str] = []

        async def watch(  # noqa: ASYNC114 -- likewise
            task_status: trio.TaskStatus[None],
        ) -> None:
            async with open_client(place) as client:
                task_status.started()
                reasons.append(await client.wait_gone())

        async with open_control(place, lambda: fake):
            await nursery.start(watch)
    assert reasons == [ENDED_SAYS]


async def test_while_it_starts_commands_are_told_so(place: Place) -> None:
    async with open_control(place, lambda: None), open_client(place) as client:
        with pytest.raises(Refused, match="still starting"):
            await client.ask(Tree)
