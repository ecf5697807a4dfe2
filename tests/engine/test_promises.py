"""Every sentence of what the engine promises is cited by a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from sluice.engine import _supervisor

HERE = Path(__file__).parent


def flat(text: str) -> str:
    return " ".join(text.split())


def promises() -> list[str]:
    """The sentences of the docstring, without its head and its titles."""
    text = flat(_supervisor.__doc__ or "").split("a test cites each.", 1)[1]
    text = re.sub(r"\*[^*]+\.\*", "", text)
    return [flat(sentence) for sentence in re.findall(r"[^.]+\.", text)]


@cache
def citations() -> str:
    """All docstrings of the tests; read once, not once a sentence."""
    found: list[str] = []
    for file in sorted(HERE.glob("test_*.py")):
        found.extend(
            flat(ast.get_docstring(node) or "")
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef)
        )
    return "\n".join(found)


def test_there_are_promises() -> None:
    assert len(promises()) > 50


@pytest.mark.parametrize("sentence", promises())
def test_a_promise_is_cited(sentence: str) -> None:
    assert sentence in citations()
