"""Identifiers: 128 random bits in hexadecimal, which nobody can guess or meets twice.

The bits are the kernel's, fetched a page at a time: a system call for each would cost more than
all else that makes an identifier.
"""

from __future__ import annotations

import os
from typing import Final

_BYTES: Final = 16
_PAGE: Final = 256 * _BYTES

_pool = bytearray()


def new_id() -> str:
    """Another identifier: 32 hexadecimal digits."""
    if not _pool:
        _pool.extend(os.urandom(_PAGE))
    bits = _pool[-_BYTES:]
    del _pool[-_BYTES:]
    return bits.hex()
