"""Chromium's own `EventSource` reads ``/stream``, from a page of another origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import trio
from tests.real.browser import Page, open_browser, open_page
from tests.real.service import PATIENCE, Service, open_service

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

PAGE = """<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<script>
  const seen = { messages: [], ids: [], named: {}, opened: 0, errors: [] };
  let source;
  const post = () => fetch("/result", { method: "POST", body: JSON.stringify(seen) });

  // Whoever calls this closes nothing: the source must come to its end by itself.
  function read(url) {
    source = new EventSource(url);
    source.onopen = () => seen.opened++;
    source.onmessage = (event) => {
      seen.messages.push(JSON.parse(event.data));
      seen.ids.push(event.lastEventId);
    };
    for (const name of ["usage", "done", "failure"])
      source.addEventListener(name, (event) => {
        seen.named[name] = JSON.parse(event.data);
        seen.ids.push(event.lastEventId);
      });
    source.onerror = () => {
      seen.errors.push(source.readyState);
      if (source.readyState === EventSource.CLOSED) post();
    };
  }

  onload = () => read(THE_URL);
</script>
"""


async def read(page: Page, tmp_path: Path) -> dict[str, Any]:
    """What the page saw until its source had closed by itself."""
    with trio.fail_after(PATIENCE):
        async with open_page(page) as url, open_browser(url, tmp_path / "profile"):
            seen: dict[str, Any] = await page.results.receive()
            return seen


def page_for(url: str) -> Page:
    """The page, with the URL to read in it."""
    return Page(PAGE.replace("THE_URL", msgspec.json.encode(url).decode()))


def stream_url(service: Service, model: str) -> str:
    return f"{service.url}/stream?{urlencode({'model': model, 'prompt': 'Tell me of water'})}"


async def test_an_event_source_reads_a_stream_and_does_not_ask_for_it_again(
    tmp_path: Path,
) -> None:
    options = Options(same=True, delay=0.05, chunks=8)
    timeouts = Timeouts(heartbeat=0.1)
    async with open_service(options=options, origins=("*",), timeouts=timeouts) as service:
        page = page_for(stream_url(service, "sim-ok?first_delay=0.3"))
        seen = await read(page, tmp_path)
        asked = service.simulator.requests
    assert "".join(message["text"] for message in seen["messages"])
    assert len(seen["messages"]) == 8
    assert seen["named"]["done"] == {"finish_reason": "stop"}
    assert seen["named"]["usage"]["completion_tokens"] > 0
    stream = seen["ids"][0].rpartition("-")[0]
    assert seen["ids"] == [f"{stream}-{n}" for n in range(1, len(seen["ids"]) + 1)]
    assert seen["errors"] == [0, 2]  # it connected again, and was told that there is nothing more
    assert len(asked) == 1


async def test_an_event_source_is_told_of_a_failure_and_never_of_an_end(tmp_path: Path) -> None:
    async with open_service(origins=("*",)) as service:
        seen = await read(page_for(stream_url(service, "sim-cut")), tmp_path)
        asked = service.simulator.requests
    assert seen["messages"]
    assert seen["named"]["failure"]["error"]["code"] == "provider_cut"
    assert "done" not in seen["named"]
    assert len(asked) == 1


async def test_an_event_source_that_is_refused_closes_at_once(tmp_path: Path) -> None:
    async with open_service(origins=("*",)) as service:
        seen = await read(page_for(stream_url(service, "unknown")), tmp_path)
    assert (seen["opened"], seen["errors"]) == (0, [2])


async def test_without_cors_a_page_of_another_origin_sees_nothing(tmp_path: Path) -> None:
    async with open_service() as service:
        seen = await read(page_for(stream_url(service, "sim-ok")), tmp_path)
    assert (seen["messages"], seen["opened"], seen["errors"]) == ([], 0, [2])
