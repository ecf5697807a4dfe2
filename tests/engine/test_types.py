"""What mypy --strict knows of messages: the type of an ask is the type of the message's reply."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRELUDE = """\
from typing import assert_type
import msgspec
from sluice.engine import Actor, Message, Ref, handler

class Granted(msgspec.Struct, frozen=True):
    slot: int

class Acquire(Message[Granted], frozen=True):
    stream: str

class Release(Message[None], frozen=True):
    slot: int

"""

RIGHT = """\
class Slots(Actor):
    @handler
    def acquire(self, message: Acquire) -> Granted:
        return Granted(1)

    @handler(raises=(ValueError,))
    async def release(self, message: Release) -> None: ...

async def use(ref: Ref) -> None:
    assert_type(await ref.ask(Acquire("s")), Granted)
    assert_type(await ref.ask(Acquire("s"), timeout=1), Granted)
    await ref.tell(Release(1))
    ref.tell_nowait(Release(1))
"""

WRONG = {
    "a reply used as another type": """\
async def use(ref: Ref) -> int:
    return await ref.ask(Acquire(""))
""",
    "a field of the wrong type": """\
Acquire(stream=1)
""",
    "a handler that returns another type": """\
class Slots(Actor):
    @handler
    def acquire(self, message: Acquire) -> Granted:
        return 1
""",
    "something told that is no message": """\
def use(ref: Ref) -> None:
    ref.tell_nowait("hello")
""",
    "a message that is changed": """\
def use(message: Acquire) -> None:
    message.stream = ""
""",
}


def errors_in(folder: Path, **sources: str) -> dict[str, set[str]]:
    """The lines in which mypy finds errors, by the name of the source."""
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(PRELUDE + source)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")]
    ended = subprocess.run(
        [*command, "--config-file", str(ROOT / "pyproject.toml"), str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    lines = [line.split(":") for line in ended.stdout.splitlines() if ": error:" in line]
    assert all(Path(path).stem in sources for path, *_ in lines), ended.stdout
    assert f"(checked {len(sources)} source files)" in ended.stdout, ended.stdout + ended.stderr
    return {
        name: {number for path, number, *_ in lines if Path(path).stem == name} for name in sources
    }


def test_mypy_knows_the_reply_of_every_ask_and_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = "".join(_as_function(i, text) for i, text in enumerate(WRONG.values()))
    found = errors_in(tmp_path, right=RIGHT, wrong=wrong)
    assert found["right"] == set()
    assert len(found["wrong"]) == len(WRONG), found


def _as_function(index: int, text: str) -> str:
    body = "".join(f"    {line}\n" for line in text.splitlines())
    return f"def wrong_{index}() -> None:\n{body}\n"


@pytest.mark.parametrize("missing", ["py.typed"])
def test_the_package_says_that_it_is_typed(missing: str) -> None:
    assert (ROOT / "engine" / missing).exists()
