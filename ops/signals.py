"""The signals that `sluice serve` obeys, held back until there is somebody to obey them.

A signal in the first moments, while modules are imported, would end the process as it is; held
back, it ends the start in order.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OBEYED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[None]:
    """Within the block those signals wait, until `release` or the block's end.

    Those too that whoever started us ignores, as a shell does for what runs in its background.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OBEYED)
    ignored = [each for each in OBEYED if signal.getsignal(each) == signal.SIG_IGN]
    try:
        for each in ignored:  # else the system forgets them at once
            signal.signal(each, signal.SIG_DFL)
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release() -> None:
    """From now on they come, and those that waited. Call it before a process is started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OBEYED)
