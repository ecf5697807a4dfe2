"""Six official clients by the three formats that providers speak, through one service.

The provider is slow, and heartbeats come between any two events.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import msgspec
import openai
import pytest
import trio
from cohere import ClientV2
from tests.real.service import PATIENCE, in_thread, open_formats

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

FORMATS = ("openai", "anthropic", "cohere")
MODELS = {"text": "sim-ok?chunks=5&chunk_size=3&delay=0.1", "tool": "sim-tool"}
NODE = Path(__file__).parent / "npm" / "table.mjs"
KEY = "sk-of-the-client"
HELLO: list[Any] = [{"role": "user", "content": "Tell me of water"}]
SCHEMA: dict[str, object] = {"type": "object", "properties": {"river": {"type": "string"}}}
FUNCTION: list[Any] = [
    {"type": "function", "function": {"name": "get_level", "parameters": SCHEMA}}
]

Call = tuple[str, object]


class Cell(msgspec.Struct):
    """What one client got of providers of one format."""

    text: str = ""
    """Streamed."""
    call: Call = ("", None)
    """A call of a tool, streamed: its name and its arguments."""
    whole: str = ""
    raised: str = ""


def through_openai(url: str, format_: str) -> Cell:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        completions = client.chat.completions
        asked: dict[str, Any] = {"messages": HELLO, "model": f"text-{format_}"}
        deltas = [chunk.choices[0].delta for chunk in completions.create(**asked, stream=True)]
        model = f"tool-{format_}"
        with completions.stream(model=model, messages=HELLO, tools=FUNCTION) as stream:
            (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
        arguments: object = msgspec.json.decode(call.function.arguments)
        whole: str = completions.create(**asked).choices[0].message.content
    text = "".join(delta.content or "" for delta in deltas)
    return Cell(text, (call.function.name, arguments), whole)


def through_anthropic(url: str, format_: str) -> Cell:
    tool: Any = {"name": "get_level", "input_schema": SCHEMA}
    with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        asked: dict[str, Any] = {"messages": HELLO, "max_tokens": 1000}
        with client.messages.stream(**asked, model=f"text-{format_}") as stream:
            text = "".join(stream.text_stream)
        with client.messages.stream(**asked, model=f"tool-{format_}", tools=[tool]) as stream:
            message = stream.get_final_message()
        answer = client.messages.create(**asked, model=f"text-{format_}")
    (call,) = [block for block in message.content if block.type == "tool_use"]
    whole = "".join(block.text for block in answer.content if block.type == "text")
    return Cell(text, (call.name, call.input), whole)


def through_cohere(url: str, format_: str) -> Cell:
    text = name = arguments = ""
    with ClientV2(base_url=url, api_key=KEY) as client:
        events: Iterable[Any] = client.chat_stream(model=f"text-{format_}", messages=HELLO)
        for event in events:
            if event.type == "content-delta":
                text += event.delta.message.content.text
        events = client.chat_stream(model=f"tool-{format_}", messages=HELLO, tools=FUNCTION)
        for event in events:
            if event.type == "tool-call-start":
                name = event.delta.message.tool_calls.function.name
            elif event.type == "tool-call-delta":
                arguments += event.delta.message.tool_calls.function.arguments
        answer: Any = client.chat(model=f"text-{format_}", messages=HELLO)
    whole = "".join(part.text for part in answer.message.content if part.type == "text")
    return Cell(text, (name, msgspec.json.decode(arguments)), whole)


PYTHON: dict[str, Callable[[str, str], Cell]] = {
    "openai": through_openai,
    "anthropic": through_anthropic,
    "cohere": through_cohere,
}


async def cells(url: str) -> dict[str, dict[str, Cell]]:
    """All rows. Those of the npm packages are one process."""
    rows: dict[str, dict[str, Cell]] = {name: {} for name in PYTHON}

    async def fill(name: str, format_: str) -> None:
        try:
            rows[name][format_] = await in_thread(PYTHON[name], url, format_)
        except Exception as error:  # noqa: BLE001 -- it stands in the table
            rows[name][format_] = Cell(raised=repr(error))

    async with trio.open_nursery() as nursery:
        for name, format_ in itertools.product(PYTHON, FORMATS):
            nursery.start_soon(fill, name, format_)
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(["node", str(NODE), url, *FORMATS], capture_stdout=True)
    return rows | msgspec.json.decode(done.stdout, type=dict[str, dict[str, Cell]])


def shown(rows: dict[str, dict[str, Cell]], right: Cell) -> str:
    """The table, for people."""
    lines = [f"{'client':<20}" + "".join(f"{each:<12}" for each in FORMATS)]
    for client, row in rows.items():
        marks = [row[each].raised or ("ok" if row[each] == right else "wrong") for each in FORMATS]
        lines.append(f"{client:<20}" + "".join(f"{mark:<12}" for mark in marks))
    return "\n".join(lines)


def heartbeats(url: str) -> int:
    """Gaps between events in which a client gets one."""
    body = {"model": "text-openai", "messages": HELLO, "stream": True}
    text = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=30).text
    return sum(block.startswith(":") for block in text.split("\n\n"))


async def test_six_official_clients_get_text_a_tool_call_and_a_whole_answer_of_three_formats() -> (
    None
):
    async with open_formats(
        FORMATS, MODELS, timeouts=Timeouts(heartbeat=0.02), options=Options(same=True)
    ) as service:
        rows = await cells(service.url)
        right = await in_thread(through_openai, service.url, "openai")
        assert await in_thread(heartbeats, service.url) >= 3
    assert len(right.text) > 40
    assert right.text == right.whole
    assert right.call == ("get_level", {"river": "Zürich"})
    table = shown(rows, right)
    print(table)  # noqa: T201 -- the table is what the test is for
    assert len(rows) == 6
    for client, row in rows.items():
        for each in FORMATS:
            assert row[each] == right, f"{client} with a provider that speaks {each}\n{table}"
