"""wrk as `sluice bench` uses it: its report."""

from __future__ import annotations

import msgspec
import pytest

from sluice.ops.bench import load
from sluice.ops.bench.contestants import Address

REPORT = """\
Running 4s test @ http://127.0.0.1:1/at-once/v1/chat/completions
  1 threads and 64 connections
Requests/sec:   3000.00
{"requests":12000,"microseconds":4000000,"bytes":60000000,"errors":0,"broken":0}
"""


def test_the_report_is_read_from_the_line_that_our_script_prints() -> None:
    found = load.parse(REPORT)
    assert found == load.Load(12000, 4_000_000, 60_000_000, 0, 0)
    assert found.per_second == 3000


@pytest.mark.parametrize("output", ["", "unable to connect", '{"requests":"many"}'])
def test_a_report_that_is_none_is_an_error_with_what_wrk_said(output: str) -> None:
    with pytest.raises(load.LoadError):
        load.parse(output)


def test_requests_bear_tokens_in_turn_and_wait_a_moment_only_where_that_is_asked_for() -> None:
    address = Address(8000, "/v1/chat/completions", "paced")
    plain = load.script(load.plain(address))
    assert "local tokens = {  }" in plain
    assert "function delay" not in plain
    asking = msgspec.structs.replace(load.plain(address, ["one", "two"]), pause=50)
    script = load.script(asking)
    assert 'local tokens = { "one", "two" }' in script
    assert "function delay() return math.random(0, 50) end" in script
    assert '"model":"paced"' in script
