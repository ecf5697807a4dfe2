import json
import logging
import os
import re
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from tests.actors.metrics.told import a_report

from sluice.actors.metrics.reports import Attempt, RequestReport, Rescue
from sluice.actors.settings import ProviderSettings, Secret
from sluice.ops import logs

Lines = list[dict[str, Any]]
Logged = Callable[..., AbstractContextManager[Lines]]

REPORT = a_report(
    request_id="r1",
    stream_id="s1",
    outcome="failure",
    model="gpt",
    duration=1.2345678,
    stream_duration=0.7,
    chunks=3,
    chunks_total=40,
    attempts=(Attempt("openai", "success", 0.5),),
    error=("provider_error", "streaming"),
    end="cut",
)


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    """Opens a log for a block, after which its lines are in the list."""

    @contextmanager
    def open_log(level: logs.Level = "debug", *secrets: str) -> Iterator[Lines]:
        lines: Lines = []
        path = tmp_path / "log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with logs.open_log(descriptor, level, secrets):
            yield lines
        os.close(descriptor)
        lines += [json.loads(line) for line in path.read_text().splitlines()]

    return open_log


def test_a_request_is_one_line_that_tells_how_it_went(logged: Logged) -> None:
    with logged() as lines:
        logs.request_line(REPORT)
    (line,) = lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "r1",
        "stream_id": "s1",
        "route": "/v1/chat/completions",
        "status": 200,
        "outcome": "failure",
        "provider": "openai",
        "model": "gpt",
        "streamed": True,
        "end": "cut",
        "duration_ms": 1234.567,
        "first_chunk_ms": 500.0,
        "stream_ms": 700.0,
        "chunks": 40,
        "attempts": 1,
        "error_type": "provider_error",
        "error_stage": "streaming",
    }


def test_the_calls_of_a_request_that_took_several_are_told_each(logged: Logged) -> None:
    failed = Attempt("openai", "failure", None, "gpt", 503, "provider_unavailable", 0.25)
    served = Attempt("anthropic", "success", 0.5, "claude", 200, "", 1.5)
    with logged() as lines:
        logs.request_line(msgspec.structs.replace(REPORT, attempts=(failed, served)))
    assert lines[0]["attempts"] == 2
    assert lines[0]["tried"] == [
        {
            "provider": "openai",
            "model": "gpt",
            "status": 503,
            "code": "provider_unavailable",
            "duration_ms": 250.0,
        },
        {
            "provider": "anthropic",
            "model": "claude",
            "status": 200,
            "code": "",
            "duration_ms": 1500.0,
        },
    ]


def test_an_answer_that_was_rescued_tells_whose_broke_off_and_who_finished_it(
    logged: Logged,
) -> None:
    cut = Attempt("openai", "failure", 0.5, "gpt", 200, "provider_cut", 2.0, dropped=1)
    rest = Attempt("anthropic", "success", 0.5, "claude", 200, "", 1.5, dropped=2)
    rescued = msgspec.structs.replace(
        REPORT,
        provider="anthropic",
        model="claude",
        attempts=(cut, rest),
        rescues=(Rescue("openai", "continued"),),
    )
    with logged() as lines:
        logs.request_line(rescued)
    (line,) = lines
    assert (line["provider"], line["model"]) == ("anthropic", "claude")
    assert line["rescues"] == ["openai continued"]
    assert line["malformed"] == 3


def test_a_request_that_was_turned_away_has_no_times_of_a_stream(logged: Logged) -> None:
    with logged() as lines:
        logs.request_line(
            RequestReport(
                request_id="r",
                stream_id="s",
                route="/stream",
                streamed=False,
                outcome=None,
                http_status=429,
                provider="other",
                model="other",
                duration=0.001,
            )
        )
    assert lines[0]["outcome"] is None
    assert lines[0]["first_chunk_ms"] is None
    assert "error_type" not in lines[0]


def test_every_line_tells_its_process_where_there_are_several(logged: Logged) -> None:
    with logged() as lines:
        logs.name_process("worker-1#7")
        logs.request_line(REPORT)
        logs.get_logger("sluice.test").warning("something")
    assert [line["process"] for line in lines] == ["worker-1#7", "worker-1#7"]


def test_requests_are_not_logged_above_the_level_info(logged: Logged) -> None:
    with logged("warning") as lines:
        logs.request_line(REPORT)
    assert lines == []


def test_a_line_without_an_open_log_is_lost_in_silence() -> None:
    logs.request_line(REPORT)


def test_timestamps_are_utc_and_follow_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = logs._clock.now
    for moment, text in [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (0.999999, "1970-01-01T00:00:00.999Z"),
        (1_772_366_400.1234, "2026-03-01T12:00:00.123Z"),
        (1_772_366_401.0, "2026-03-01T12:00:01.000Z"),
    ]:
        monkeypatch.setattr("sluice.ops.logs.time.time", lambda moment=moment: moment)
        assert now() == text


def test_levels_below_the_one_asked_for_are_not_logged(logged: Logged) -> None:
    with logged("warning") as lines:
        log = logs.get_logger("sluice.x")
        log.debug("a")
        log.info("b")
        log.warning("c", answer=42)
        log.error("d")
        logging.getLogger("lib").info("e")
        logging.getLogger("lib").warning("f %d", 1)
    assert [(line["event"], line["source"]) for line in lines] == [
        ("c", "sluice.x"),
        ("d", "sluice.x"),
        ("f 1", "lib"),
    ]
    assert lines[0]["answer"] == 42
    assert lines[0]["level"] == "warning"


def test_libraries_that_name_each_frame_or_request_again_are_heard_from_warning_on(
    logged: Logged,
) -> None:
    with logged("debug") as lines:
        for name in ("trio-websocket", "wsproto", "httpx2"):
            logging.getLogger(name).debug("a frame")
            logging.getLogger(name).info("a request")
            logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines] == ["trouble"] * 3


def test_a_logger_made_before_the_log_was_opened_writes_to_it(logged: Logged) -> None:
    early = logs.get_logger("sluice.early")
    with logged() as lines:
        early.info("here")
    assert [line["event"] for line in lines] == ["here"]


def test_exceptions_are_one_text_of_one_line(logged: Logged) -> None:
    def fail() -> None:
        raise RuntimeError("why")

    with logged() as lines:
        for log in (logs.get_logger("a"), logging.getLogger("b")):
            try:
                fail()
            except RuntimeError:
                log.exception("failed")
        logs.get_logger("c").error("later", exc_info=RuntimeError("kept"))
    assert len(lines) == 3
    assert all(line["exception"].startswith("Traceback") for line in lines[:2])
    assert all("RuntimeError: why" in line["exception"] for line in lines[:2])
    assert lines[2]["exception"] == "RuntimeError: kept\n"


@pytest.mark.parametrize(
    "key",
    ["api_key", "Authorization", "x-api-key", "prompt", "messages", "user_token", "PASSWORD"],
)
def test_values_of_private_keys_are_hidden(logged: Logged, key: str) -> None:
    with logged() as lines:
        logs.get_logger("x").info("event", **{key: "hunter2"}, nested=[{key: "hunter2"}])
    assert lines[0][key] == "***"
    assert lines[0]["nested"] == [{key: "***"}]


def test_counts_of_tokens_are_not_hidden(logged: Logged) -> None:
    with logged() as lines:
        logs.get_logger("x").info("event", tokens=3, keys=2)
    assert (lines[0]["tokens"], lines[0]["keys"]) == (3, 2)


def test_secrets_are_hidden_however_deep_they_are(logged: Logged) -> None:
    provider = ProviderSettings("p", "http://h", api_key=Secret("hunter2"))
    with logged() as lines:
        logs.get_logger("x").info("event", value=Secret("hunter2"), of=(provider, {provider.name}))
    assert "hunter2" not in json.dumps(lines)
    assert lines[0]["value"] == "***"
    assert lines[0]["of"][0]["base_url"] == "http://h"


def test_a_configured_secret_is_hidden_in_any_text(logged: Logged) -> None:
    secret = 'hunter2"\\é'
    with logged("info", secret, "abc") as lines:
        logs.get_logger("x").info(f"sent {secret} to them, abc")
        logging.getLogger("lib").warning("header: %s", secret)
    assert [line["event"] for line in lines] == ["sent *** to them, abc", "header: ***"]


def test_bytes_are_counted_and_not_shown(logged: Logged) -> None:
    with logged() as lines:
        logs.get_logger("x").info("event", got=b"what somebody wrote")
    assert lines[0]["got"] == "19 bytes"


def test_what_json_cannot_say_is_said_otherwise(logged: Logged) -> None:
    deep: list[object] = []
    deep.append(deep)
    with logged() as lines:
        log = logs.get_logger("x")
        log.info("deep", value=deep)
        log.info("odd", value=object, number=float("nan"), keyed={1: 2})
        log.info("broken \ud800 text")
        logging.getLogger("lib").warning("%d", "no number")
    assert [line.get("event") for line in lines] == ["deep", "odd", "log line", "%d"]
    assert lines[1]["value"] == repr(object)
    assert lines[1]["keyed"] == {"1": 2}
    assert "UnicodeEncodeError" in lines[2]["problem"]


def test_after_the_block_everything_is_as_it_was(logged: Logged) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with logged("error"):
        assert root.level == logging.ERROR
    assert (root.handlers, root.level) == before
    assert not structlog.is_configured()


def test_losses_are_counted(tmp_path: Path) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        logs.open_log(full.fileno(), "info") as log,
    ):
        logs.request_line(REPORT)
    assert log.statistics().lost == 1
    assert json.loads(logs._loss(1))["lines"] == 1


def test_a_line_costs_the_event_loop_little() -> None:
    """A bound that holds on a slow and busy machine; usually it is 3 microseconds."""
    tracing = sys.gettrace()  # of the coverage, which costs more than the line
    sys.settrace(None)
    try:
        with Path(os.devnull).open("wb") as null, logs.open_log(null.fileno(), "info"):
            timer = timeit.Timer(lambda: logs.request_line(REPORT), timer=time.thread_time)
            runs = timer.repeat(number=500, repeat=20)
    finally:
        sys.settrace(tracing)
    assert min(runs) / 500 < 30e-6
