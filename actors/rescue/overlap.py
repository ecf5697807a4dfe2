"""Finding where the text of another answer goes beyond what a client already has. Pure."""

from __future__ import annotations


class Differs(Exception):  # noqa: N818 -- what another answer does; nobody's error
    """The other answer does not say what the client was told already."""


class Overlap:
    """Takes from the beginning of a text what is told already, in whatever pieces it comes.

    Args:
        told: what the client has.
        exact: the text must repeat all of it, as a second answer to the same question does;
            False: it may go on at once, as who continues an answer does, who may or may not
            repeat the white space that it was not given.
    """

    __slots__ = ("_exact", "_left")

    def __init__(self, told: str, *, exact: bool) -> None:
        self._left = told
        self._exact = exact

    def __repr__(self) -> str:
        return f"<Overlap, {len(self._left)} characters left>"

    @property
    def is_over(self) -> bool:
        """Whether all that follows is new."""
        return not self._left

    def beyond(self, text: str) -> str:
        """What of ``text`` is new. Raises `Differs`."""
        if not self._left:
            return text
        if self._left.startswith(text):
            self._left = self._left[len(text) :]
            return ""
        left, self._left = self._left, ""
        if text.startswith(left):
            return text[len(left) :]
        if self._exact:
            raise Differs
        pairs = enumerate(zip(left, text, strict=False))
        return text[next(at for at, (told, said) in pairs if told != said) :]

    def end(self) -> None:
        """The text is over, or something else begins. Raises `Differs`."""
        if self._exact and self._left:
            raise Differs
        self._left = ""
