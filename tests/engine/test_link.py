"""Links and frames: what is sent, what is refused, and what ends a link."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.cast import Nap, Pass, Say, Stage, Watch
from tests.engine.pair import MESSAGES, pair
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from sluice.engine import (
    Link,
    LinkOptions,
    Links,
    Mailbox,
    MalformedReply,
    Message,
    Protocol,
    SupervisorSpec,
)
from sluice.engine._frame import (
    HEADER,
    VERSION,
    Ask,
    Beat,
    Failure,
    Frame,
    FrameError,
    FrameReader,
    Hello,
    Taken,
    Waits,
    pack,
    pack_ask,
    pack_reply,
    pack_tell,
    unpack,
)
from sluice.engine._options import is_silent

HELLO = pack(Hello(VERSION, "host", 1))


class Choose(Message[None], frozen=True):
    colour: Literal["red", "green"]
    fails: bool = False

    def __post_init__(self) -> None:
        if self.fails:
            raise LookupError("secret")


class Frames:
    """What comes from the link, frame by frame, after its hello."""

    def __init__(self, peer: trio.abc.Stream) -> None:
        self._peer = peer
        self._reader = FrameReader(1 << 20)
        self._bodies: list[bytes] = []

    async def next(self) -> Frame:
        """The next one that is no sign of life."""
        while True:
            while not self._bodies:
                self._bodies += self._reader.feed(await self._peer.receive_some(65536))
            frame = unpack(self._bodies.pop(0))
            if not isinstance(frame, Hello | Beat):
                return frame


@asynccontextmanager
async def alone(
    options: LinkOptions | None = None, stage: Stage | None = None, **child: Any
) -> AsyncIterator[tuple[Link, trio.abc.Stream]]:
    """A worker's link, and the bare stream of a peer that the test plays."""
    stage = stage or Stage()
    links = Links("worker", Protocol([*MESSAGES, Choose]), peers=["host"], options=options)
    root = SupervisorSpec("root", [stage.child("b", **child)])
    async with trio.open_nursery() as nursery, stage.open(root, links=links) as stage.system:
        mine, peer = memory_stream_pair()
        link = Link(links, mine, "host")
        nursery.start_soon(link.run)
        yield link, peer
        nursery.cancel_scope.cancel()


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 40))
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    bodies: list[bytes], size: int
) -> None:
    wire = b"".join(HEADER.pack(len(body)) + body for body in bodies)
    reader = FrameReader(50)
    got = [
        bytes(body)
        for start in range(0, len(wire), size)
        for body in reader.feed(wire[start : start + size])
    ]
    assert got == bodies
    assert reader.waiting == 0


@pytest.mark.parametrize("length", [0, 51, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_its_bytes_come(length: int) -> None:
    with pytest.raises(FrameError, match="allowed are 1 to 50"):
        FrameReader(50).feed(HEADER.pack(length))


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with suppress(ValueError, RecursionError):
        unpack(data)


def test_a_protocol_refuses_what_it_could_not_decode() -> None:
    with pytest.raises(TypeError, match="is no type of Message"):
        Protocol([int])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="two types of message are called Say"):
        Protocol([Say, Say])
    with pytest.raises(TypeError, match="does not say its reply"):
        Protocol([Message])


def test_names_of_processes_are_checked() -> None:
    with pytest.raises(ValueError, match="a process's name is"):
        Links("a@b", Protocol([]))
    with pytest.raises(ValueError, match="is this process itself"):
        Links("a", Protocol([]), peers=["a"])


def test_nonsense_options_are_rejected() -> None:
    with pytest.raises(ValueError, match="longer than its interval"):
        LinkOptions(interval=2, patience=1)
    with pytest.raises(ValueError, match="at least 1"):
        LinkOptions(backlog=0)


WRONG: dict[str, tuple[bytes, str]] = {
    "no hello": (pack(Beat()), "the first frame is no hello"),
    "another version": (pack(Hello(99, "host", 1)), "version 99"),
    "another process": (pack(Hello(VERSION, "mars", 1)), "it is 'mars', but should be 'host'"),
    "a second hello": (HELLO + HELLO, "a second hello"),
    "too large": (HELLO + HEADER.pack(2**31), "a frame of 2147483648 bytes"),
    "garbage": (HELLO + HEADER.pack(3) + b"abc", "Expected `array`"),
    "an unknown kind": (HELLO + HEADER.pack(2) + b"\x91\x63", "Invalid value 99"),
    "no time at all": (
        HELLO + pack_ask(1, "b", "Say", float("nan"), (), Say("x")),
        "negative time",
    ),
    "an answer to nothing": (HELLO + pack_reply(7, "x"), "never asked"),
    "a number twice": (
        HELLO + 2 * pack_ask(1, "b", "Nap", 9.0, (), Nap(5)),
        "a number that is in use",
    ),
    "bad text": (HELLO + HEADER.pack(6) + b"\x95\x05\x00\xa1\xff\xc0", "sent what is not allowed"),
}


@pytest.mark.parametrize("name", list(WRONG))
async def test_what_is_not_allowed_ends_the_link_with_a_report(name: str) -> None:
    data, report = WRONG[name]
    async with alone() as (link, peer):
        await peer.send_all(data)
        with trio.fail_after(1):
            await link.ended.wait()
        assert report in link.reason


REFUSED: dict[str, tuple[str, object, str, str]] = {
    "an unknown type": (
        "Watch",
        Watch("secret"),
        "UnknownMessage",
        "b: no type of message 'Watch' may cross the link; there are: Choose, Crash,",
    ),
    "a wrong field": (
        "Say",
        {"text": 5},
        "MalformedMessage",
        "b: Say is wrong: Expected `str`, got `int` - at `$.text`",
    ),
    "no message at all": ("Say", None, "MalformedMessage", "Expected `object`, got `None`"),
    "a value that is none of those allowed": (
        "Choose",
        {"colour": "secret"},
        "MalformedMessage",
        "b: Choose is wrong: Invalid enum value - at `$.colour`",
    ),
    "what its own type does not take": (
        "Choose",
        {"colour": "red", "fails": True},
        "MalformedMessage",
        "b: Choose is wrong: its type raised LookupError",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
async def test_a_message_that_cannot_be_read_is_refused_to_who_sent_it(name: str) -> None:
    kind, body, error, text = REFUSED[name]
    async with alone() as (link, peer):
        frames = Frames(peer)
        await peer.send_all(HELLO + pack_ask(1, "b", kind, 9.0, (), body))
        await peer.send_all(
            pack_tell(2, "b", kind, (), body) + pack_tell(3, "b", "Nap", (), Nap(1))
        )
        for number in (1, 2):
            failure = await frames.next()
            assert isinstance(failure, Failure)
            assert (failure.number, failure.kind, failure.path) == (number, error, "b")
            assert text in failure.text
            assert "secret" not in failure.text
        assert await frames.next() == Taken(3)
        assert link.counts.unreadable == 2
        assert not link.ended.is_set()


@pytest.mark.parametrize("name", list(REFUSED))
async def test_what_is_told_and_cannot_be_read_is_a_dead_letter(name: str) -> None:
    kind, body, _, text = REFUSED[name]
    stage = Stage()
    async with alone(stage=stage) as (link, peer):
        await peer.send_all(HELLO + pack_tell(0, "b", kind, (), body))
        await wait_all_tasks_blocked()
        (letter,) = stage.system.dead_letters
        assert (letter.path, letter.message_type) == ("b", "Unread")
        assert text in letter.reason
        assert "secret" not in repr(letter)
        assert link.counts.unreadable == 1
        assert not link.ended.is_set()


async def test_a_reply_that_cannot_be_read_is_an_error_to_its_asker_only() -> None:
    stage = Stage()
    async with alone(stage=stage) as (link, peer), trio.open_nursery() as nursery:
        await peer.send_all(HELLO)
        await link.opened.wait()
        link.links.route(link)
        far = stage.system.ref("a@host")

        async def ask() -> None:
            text = "a@host: the reply to Say is wrong: Expected `str`, got `int`"
            with pytest.raises(MalformedReply, match=text):
                await far.ask(Say("x"))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await peer.send_all(pack_reply(1, 5))
        await wait_all_tasks_blocked()
        assert link.counts.unreadable == 1
        assert not link.pending
        assert not link.ended.is_set()


async def test_a_circle_that_the_peer_tells_of_later_is_refused_to_who_waits() -> None:
    stage = Stage()
    async with alone(stage=stage, mailbox=Mailbox(2)) as (link, peer):
        frames, begun = Frames(peer), Pass(("y@host",), "x")
        await peer.send_all(HELLO + pack_tell(0, "b", "Pass", (), begun))
        await link.opened.wait()
        link.links.route(link)
        asked = await frames.next()
        assert isinstance(asked, Ask)
        assert asked.path == "y"
        x, y, say = ("x@host#1",), ("x@host#1", "y@host#1"), Say("")
        await peer.send_all(pack_ask(1, "b", "Say", 9.0, x, say) + pack_tell(2, "b", "Say", x, say))
        told = await frames.next()
        assert isinstance(told, Waits)
        assert told.chain[1:] == x
        assert await frames.next() == Taken(2)
        await peer.send_all(pack_tell(3, "b", "Say", x, say))
        await wait_all_tasks_blocked()
        await peer.send_all(b"".join(pack(Waits(n, y)) for n in (1, 3, 77)))
        failed: list[int] = []
        while len(failed) < 2:
            frame = await frames.next()
            if isinstance(frame, Failure):
                failed.append(frame.number)
                assert frame.kind == "AskCycle"
                assert "b -> y@host#1" in frame.text
        assert failed == [1, 3]
        assert len(link.links.waits) == 1  # y, for which b waits
        assert not link.ended.is_set()


async def test_a_link_survives_no_flood_of_garbage_and_hurts_nobody() -> None:
    chance = random.Random(7)  # noqa: S311 -- repeatable noise
    for _ in range(50):
        async with alone() as (link, peer):
            noise = chance.randbytes(chance.randrange(4, 2000))
            await peer.send_all(HELLO + noise)
            await peer.aclose()
            with trio.fail_after(60):
                await link.ended.wait()


async def test_half_a_frame_and_then_silence_is_a_dead_peer() -> None:
    async with alone(LinkOptions(interval=1, patience=3)) as (link, peer):
        await peer.send_all(HELLO + pack(Beat())[:3])
        began = trio.current_time()
        await link.ended.wait()
        assert "silent for" in link.reason
        assert 3 <= trio.current_time() - began <= 5


async def test_a_peer_that_closes_in_a_frame_ends_the_link() -> None:
    async with alone() as (link, peer):
        await peer.send_all(HELLO + b"\x00")
        await peer.aclose()
        await link.ended.wait()
        assert link.reason.startswith("the peer closed it")


async def test_ends_that_have_nothing_to_say_stay_alive() -> None:
    async with pair() as both:
        await trio.sleep(1000)
        assert not both.host_link.ended.is_set()
        (facts,) = both.host.statistics().links
        assert facts.silent is not None
        assert facts.silent <= 2


def test_who_slept_itself_does_not_call_its_peer_dead() -> None:
    assert is_silent(11, 0, 10, interval=1, patience=10)
    assert not is_silent(11, 0, 0, interval=1, patience=10)
    assert not is_silent(10, 0, 9, interval=1, patience=10)


async def test_a_peer_that_says_no_hello_is_dead_after_the_greetings_time() -> None:
    async with alone(LinkOptions(interval=1, patience=3, greeting=20)) as (link, _peer):
        began = trio.current_time()
        await link.ended.wait()
        assert 20 <= trio.current_time() - began <= 22


async def test_all_that_waits_goes_out_in_one_write() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        before = both.facts().writes
        for n in range(100):
            ref.tell_nowait(Say(str(n)))
        await wait_all_tasks_blocked()
        assert both.facts().writes == before + 1


async def test_a_cut_write_ends_the_link() -> None:
    async with alone() as (link, peer):
        assert isinstance(peer, trio.StapledStream)
        await peer.receive_some()
        await peer.aclose()
        link.send(Beat())
        await link.ended.wait()
        assert link.reason == "the peer closed it"


async def test_a_link_that_is_cancelled_tells_its_peer() -> None:
    async with pair() as both:
        both.host_link._scope.cancel()
        await both.worker_link.ended.wait()
        assert both.host_link.reason == "it was closed here"
        assert both.worker_link.reason == "the peer closed it"


async def test_a_peer_that_asks_and_does_not_read_has_its_link_ended() -> None:
    options = LinkOptions(backlog=10, in_flight=10, patience=1000, interval=900)
    async with alone(options) as (link, peer):

        async def never() -> None:
            await trio.sleep_forever()

        link._stream.send_stream.send_all_hook = never  # type: ignore[attr-defined]
        await peer.send_all(HELLO)
        await wait_all_tasks_blocked()
        await flood(peer, "nobody")
        with trio.fail_after(60):
            await link.ended.wait()
        assert "does not read" in link.reason


async def test_a_peer_with_too_many_asks_in_flight_has_its_link_ended() -> None:
    async with alone(LinkOptions(in_flight=5)) as (link, peer):
        await peer.send_all(HELLO)
        await flood(peer, "b")
        with trio.fail_after(1):
            await link.ended.wait()
        assert "asks in flight" in link.reason


async def flood(peer: trio.abc.Stream, path: str) -> None:
    """Forty asks, or as many as are taken."""
    with suppress(trio.BrokenResourceError):
        for number in range(1, 41):
            await peer.send_all(pack_ask(number, path, "Nap", 99.0, (), Nap(50)))
