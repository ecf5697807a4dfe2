from __future__ import annotations

import time

import pytest

from sluice.actors.upstream.fields import RETRY_AFTER_LIMIT, media_type, retry_after


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/event-stream", "text/event-stream"),
        (b"Text/Event-Stream; charset=utf-8", "text/event-stream"),
        (b" application/json ;x=y", "application/json"),
        (b"", ""),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_media_type_is_compared_without_case_and_parameters(value: bytes, expected: str) -> None:
    assert media_type(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"7", 7.0),
        (b" 0 ", 0.0),
        (b"1.5", 1.5),
        (b"Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        (b"Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        (b"999999999", RETRY_AFTER_LIMIT),
        (b"1" * 5000, RETRY_AFTER_LIMIT),
        (b"1e999", RETRY_AFTER_LIMIT),
        (b"soon", None),
        (b"-5", None),
        (b"nan", None),
        (b"1x", None),
        (b"1_0", None),
        (b"", None),
        (b"\xff\xff", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_nonsense_is_none(
    value: bytes, expected: float | None
) -> None:
    assert retry_after(value, now=60.0) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Sun, 06 Nov 1994 08:49:37 -0000",
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "JST-9", "PST8"])
def test_a_date_to_retry_after_is_in_utc_wherever_we_are(
    monkeypatch: pytest.MonkeyPatch, zone: str, value: bytes
) -> None:
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        found = retry_after(value, now=784_111_767.0)
    time.tzset()
    assert found == 10.0
