"""Where a key was set: a line of the file, a variable, an option."""

from __future__ import annotations

from .mistakes import Mistake
from .toml_lines import Path


class Places:
    """The place of every key, kept while overrides replace what the file said."""

    def __init__(self, file: str, lines: dict[Path, int]) -> None:
        self._file = file
        self._lines = lines
        self._overrides: dict[Path, str] = {}

    def override(self, path: Path, place: str) -> None:
        """``place`` (a variable or an option) sets the key at ``path`` from now on."""
        self._overrides[path] = place
        for known in [known for known in self._lines if known[: len(path)] == path]:
            del self._lines[known]

    def overridden(self, path: Path) -> bool:
        """Whether the key at ``path`` comes from outside the file."""
        return path in self._overrides

    def find(self, path: Path) -> str:
        """Where ``path`` was set; for a key that is missing, where its table begins."""
        for end in range(len(path), 0, -1):
            place = self._exactly(path[:end])
            if place is not None:
                return place
        return self._file or "the configuration"

    def _exactly(self, path: Path) -> str | None:
        """Where ``path`` itself was set, or first something in the table that it is."""
        if path in self._overrides:
            return self._overrides[path]
        if path in self._lines:
            return f"{self._file}:{self._lines[path]}"
        inside = (place for key, place in self._overrides.items() if key[: len(path)] == path)
        return next(inside, None)

    def order(self, mistake: Mistake) -> tuple[int, int, str]:
        """A sort key: the file from top to bottom, then variables and options by name."""
        file, _, line = mistake.place.rpartition(":")
        if file == self._file and line.isdecimal():
            return 0, int(line), mistake.key
        return 1, 0, mistake.place
