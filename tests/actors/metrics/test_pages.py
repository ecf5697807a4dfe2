"""What is too long for one message is read in pages, all of one moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from sluice.actors.metrics import pages
from sluice.actors.metrics.metrics import Render
from sluice.actors.metrics.pages import KEPT, PAGE, Page, Rest, Rests
from sluice.engine import (
    Actor,
    ActorError,
    AskTimeout,
    ChildSpec,
    SupervisorSpec,
    handler,
    open_system,
)

LONG = b"".join(b"line %d\n" % number for number in range(PAGE // 4))
RENDER = Render(openmetrics=False)


class Printer(Actor):
    """Renders ``text``; after a page it does ``after``."""

    def __init__(self, text: bytes, after: Callable[[Rests], float]) -> None:
        self.text = text
        self.after = after
        self.rests = Rests()

    @handler
    def render(self, _message: Render) -> Page:
        return self.rests.begin(self.text)

    @handler
    async def rest(self, message: Rest) -> Page | None:
        await trio.sleep(self.after(self.rests))
        return self.rests.next(message.number)


def nothing(_rests: Rests) -> float:
    return 0.0


async def read(text: bytes, after: Callable[[Rests], float] = nothing) -> bytes | None:
    root = SupervisorSpec("root", [ChildSpec("metrics", lambda: Printer(text, after))])
    async with open_system(root) as system:
        return await pages.read(system.ref("metrics"), RENDER, timeout=5)


@pytest.mark.parametrize("size", [0, 1, PAGE, PAGE + 1, 3 * PAGE, len(LONG)])
async def test_pages_add_up_to_the_text(size: int) -> None:
    assert await read(LONG[:size]) == LONG[:size]


def test_no_page_is_longer_than_a_page_and_none_is_kept_that_was_read() -> None:
    rests = Rests()
    page: Page | None = rests.begin(LONG)
    while page is not None and page.rest:
        assert len(page.text) == PAGE
        page = rests.next(page.rest)
    assert page is not None
    assert len(page.text) <= PAGE
    assert len(rests) == 0


def test_of_too_many_at_a_time_the_oldest_is_dropped() -> None:
    rests = Rests()
    first, *others = [rests.begin(LONG) for _ in range(KEPT + 1)]
    assert len(rests) == KEPT
    assert rests.next(first.rest) is None
    assert all(rests.next(page.rest) is not None for page in others)


async def test_who_lost_the_rest_is_told_that_there_is_nothing() -> None:
    def crowd(rests: Rests) -> float:
        for _ in range(KEPT):
            rests.begin(LONG)
        return 0.0

    assert await read(LONG, crowd) is None


async def test_the_time_is_that_of_all_pages_together(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(AskTimeout, match="no reply to Rest within 2 s"):
        await read(LONG, lambda _rests: 3.0)


async def test_a_failure_is_the_actors() -> None:
    def fail(_rests: Rests) -> float:
        raise RuntimeError("a mistake")

    with pytest.raises(ActorError):
        await read(LONG, fail)
