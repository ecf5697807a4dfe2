"""What a provider says in its header fields, read with suspicion."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds: nobody waits longer for one request, whatever a provider asks for."""

_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]*)?(e[0-9]+)?", re.IGNORECASE)


def media_type(content_type: bytes) -> str:
    """The type without parameters, in lower case: ``text/event-stream``; empty if there is none."""
    return content_type.partition(b";")[0].strip().lower().decode("ascii", "replace")


def retry_after(value: bytes, now: float) -> float | None:
    """Seconds to wait, of either form (RFC 9110, 10.2.3); None for none and for nonsense.

    Args:
        value: the field's.
        now: seconds since the epoch.
    """
    text = value.strip().decode("ascii", "replace")
    seconds = _delay(text) if text[:1].isdigit() else _date(text, now)
    return None if seconds is None else min(max(seconds, 0.0), RETRY_AFTER_LIMIT)


def _delay(text: str) -> float | None:
    """Digits; some providers send fractions."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _date(text: str, now: float) -> float | None:
    """Seconds until a date. One that names no zone is in UTC, whatever ours is.

    So is the oldest of the three forms that a recipient has to accept (RFC 9110, 5.6.7).
    """
    try:
        date = parsedate_to_datetime(text)
        return (date.replace(tzinfo=UTC) if date.tzinfo is None else date).timestamp() - now
    except (ValueError, OverflowError):
        return None
