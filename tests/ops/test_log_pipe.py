"""The pipe's promises, with sinks that are slow, full, closed or not there at all."""

import fcntl
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from sluice.ops.log_pipe import LogPipe

PATIENCE = 10.0


class Sink:
    """A pipe's two ends; nobody reads it but the test."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read(self, until: bytes = b"") -> bytes:
        """All that comes, up to ``until`` or to the end."""
        found = b""
        while not until or until not in found:
            assert select.select([self.reader], [], [], PATIENCE)[0], f"no more after {found!r}"
            piece = os.read(self.reader, 65_536)
            if not piece:
                break
            found += piece
        return found

    def fill(self) -> int:
        """Leave no room in it; returns the bytes that were put there."""
        os.set_blocking(self.writer, False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                count += os.write(self.writer, b"x" * 512)
        os.set_blocking(self.writer, True)
        return count

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def open_pipe(sink: Sink) -> Iterator[Callable[..., LogPipe]]:
    """Makes pipes to the sink, and ends them."""
    pipes = []

    def make(descriptor: int | None = None, capacity: int = 100) -> LogPipe:
        target = sink.writer if descriptor is None else descriptor
        pipes.append(LogPipe(target, lambda n: b"lost %d\n" % n, capacity, gather=0))
        return pipes[-1]

    yield make
    with suppress(OSError):
        os.close(sink.reader)  # frees a thread that is blocked in its write
    for pipe in pipes:
        pipe.close(PATIENCE)


OpenPipe = Callable[..., LogPipe]


def test_lines_arrive_in_their_order(sink: Sink, open_pipe: OpenPipe) -> None:
    pipe = open_pipe()
    for number in range(50):
        pipe.put(b"%d\n" % number)
    found = sink.read(until=b"49\n")
    assert found.split() == [b"%d" % number for number in range(50)]


def test_lines_of_several_writers_to_one_pipe_are_each_whole(
    sink: Sink, open_pipe: OpenPipe
) -> None:
    lines = {
        name: [b"%d %d %b\n" % (name, n, b"x" * (n % 900)) for n in range(400)] for name in (1, 2)
    }
    pipes = [open_pipe(sink.writer, capacity=1000) for _ in lines]
    for one, other in zip(*lines.values(), strict=True):
        pipes[0].put(one)
        pipes[1].put(other)
    found = b""
    while found.count(b"\n") < 800:
        found += sink.read(until=b"\n")
    told = found.splitlines(keepends=True)
    for name, expected in lines.items():
        assert [line for line in told if line.startswith(b"%d " % name)] == expected


def test_closing_writes_what_waits(sink: Sink, open_pipe: OpenPipe) -> None:
    pipe = open_pipe()
    pipe.put(b"last\n")
    pipe.close()
    assert sink.read(until=b"\n") == b"last\n"
    assert pipe.statistics().written == 1
    pipe.close()


def test_a_full_sink_holds_up_nobody_and_its_losses_are_told(
    sink: Sink, open_pipe: OpenPipe
) -> None:
    filler = sink.fill()
    pipe = open_pipe(capacity=10)
    for number in range(1000):
        pipe.put(b"line %d\n" % number)
    assert pipe.statistics().lost > 900
    found = sink.read(until=b"lost")  # what waited is on its way: there is room again
    pipe.put(b"afterwards\n")
    found += sink.read(until=b"afterwards\n")
    pipe.close(PATIENCE)
    told = found[filler:].decode().splitlines()
    kept = [line for line in told if line.startswith("line")]
    counts = [int(line.split()[1]) for line in told if line.startswith("lost")]
    assert len(kept) + sum(counts) == 1000
    assert pipe.statistics().lost == sum(counts)


def test_a_sink_that_does_not_block_is_waited_for(sink: Sink, open_pipe: OpenPipe) -> None:
    filler = sink.fill()
    fcntl.fcntl(sink.writer, fcntl.F_SETFL, os.O_NONBLOCK)
    pipe = open_pipe()
    pipe.put(b"patience\n")
    assert sink.read(until=b"patience\n")[filler:] == b"patience\n"


def test_closing_does_not_wait_for_a_sink_that_takes_nothing(
    sink: Sink, open_pipe: OpenPipe
) -> None:
    sink.fill()
    fcntl.fcntl(sink.writer, fcntl.F_SETFL, os.O_NONBLOCK)
    pipe = open_pipe()
    pipe.put(b"never\n")
    pipe.close(0.05)
    pipe.close(PATIENCE)
    assert pipe.statistics().written == 0


def test_a_closed_sink_costs_lines_and_nothing_else(sink: Sink, open_pipe: OpenPipe) -> None:
    os.close(sink.reader)
    pipe = open_pipe()
    pipe.put(b"gone\n")
    pipe.put(b"gone\n")
    pipe.close(PATIENCE)
    statistics = pipe.statistics()
    assert (statistics.written, statistics.lost, statistics.waiting) == (0, 2, 0)


def test_a_full_disk_costs_lines_and_nothing_else(open_pipe: OpenPipe) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    pipe = open_pipe(full)
    pipe.put(b"no room\n")
    pipe.close(PATIENCE)
    assert pipe.statistics().lost == 1
    os.close(full)
