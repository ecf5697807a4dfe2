"""All tests of the engine run on virtual time: a wait costs nothing, and takes exactly as long."""

import pytest
from trio.testing import MockClock


@pytest.fixture(autouse=True)
def virtual_time(autojump_clock: MockClock) -> MockClock:
    return autojump_clock
