"""On which line of a TOML text each key stands, which ``tomllib`` does not tell.

`locate` is for texts that ``tomllib`` has accepted: it trusts their syntax and only walks
over it. A path is a tuple of table and key names; the items of an array (and the tables of
an array of tables) are numbers: ``("cors", "origins", 1)``. Lines count from 1.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL_STRING: Final = re.compile(r"'[^'\n]*'")
# A multi-line string may end in up to five quotes: two of them are its own.
_MULTILINE_BASIC: Final = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")', re.DOTALL)
_MULTILINE_LITERAL: Final = re.compile(r"'''.*?'{3,5}(?!')", re.DOTALL)
_STRINGS: Final = (_MULTILINE_BASIC, _MULTILINE_LITERAL, _BASIC_STRING, _LITERAL_STRING)
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]*")


def locate(text: str) -> dict[Path, int]:
    """The line of every table, key and array item of ``text``."""
    return _Scanner(text).document()


class _Scanner:
    """One walk over one text; ``_at`` is the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._take(_BLANK)
        return self._lines

    def _header(self) -> Path:
        """``[a.b]`` or ``[[a.b]]``: the path that the keys below it belong to."""
        line = self._current_line()
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        names = self._key()
        self._at += brackets
        path = self._inside((), names[:-1], line) + names[-1:]
        if brackets == 2:
            index = self._arrays.get(path, -1) + 1
            self._arrays[path] = index
            self._lines.setdefault(path, line)
            path = (*path, index)
        self._lines[path] = line
        return path

    def _pair(self, table: Path) -> None:
        """``a.b = value`` in ``table``."""
        line = self._current_line()
        names = self._key()
        self._at += 1  # the equals sign
        self._take(_SPACE)
        path = self._inside(table, names[:-1], line) + names[-1:]
        self._lines[path] = line
        self._value(path)

    def _inside(self, table: Path, names: Path, line: int) -> Path:
        """``table`` and the tables that ``names`` open in it, at ``line`` if they are new.

        A name that stands for an array of tables means its last one.
        """
        path = table
        for name in names:
            path = (*path, name)
            self._lines.setdefault(path, line)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _key(self) -> Path:
        """One dotted key, the spaces around it included."""
        names: list[str] = []
        while True:
            self._take(_SPACE)
            names.append(self._name())
            self._take(_SPACE)
            if self._peek() != ".":
                return tuple(names)
            self._at += 1

    def _name(self) -> str:
        quote = self._peek()
        if quote not in "\"'":
            return self._take(_BARE_KEY)
        quoted = self._take(_BASIC_STRING if quote == '"' else _LITERAL_STRING)
        return str(tomllib.loads(f"name = {quoted}")["name"])

    def _value(self, path: Path) -> None:
        first = self._peek()
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first and first in "\"'":
            self._string()
        else:
            self._take(_SCALAR)

    def _string(self) -> None:
        for pattern in _STRINGS:
            if pattern.match(self._text, self._at):
                self._take(pattern)
                return

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._more("]"):
            item = (*path, index)
            self._lines[item] = self._current_line()
            self._value(item)
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._more("}"):
            self._pair(path)

    def _more(self, end: str) -> bool:
        """Step over what separates items; False, and step over ``end``, after the last one."""
        self._take(_BLANK)
        if self._peek() == ",":
            self._at += 1
            self._take(_BLANK)
        if self._peek() != end and self._at < len(self._text):
            return True
        self._at += 1
        return False

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            message = f"not TOML that tomllib accepts, at line {self._current_line()}"
            raise ValueError(message)
        self._at = found.end()
        return found.group()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _current_line(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line
