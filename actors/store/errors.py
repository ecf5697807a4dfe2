"""What can go wrong between a request and the store. Nothing else is ever raised to a request."""

# ruff: noqa: N818 -- named by what is the matter, as the engine's own are.

from __future__ import annotations


class StoreUnavailable(Exception):
    """The store did not do it, or it is not known whether it did. ``str()`` says why."""


class StoreRefused(StoreUnavailable):
    """The store answered this one operation with an error; others may well succeed.

    ``code``: the first word of its answer, such as ``OOM`` or ``WRONGTYPE``.
    """

    def __init__(self, answer: str) -> None:
        super().__init__(f"the store refused: {answer}")
        self.code = answer.partition(" ")[0]


class LinkFailed(Exception):
    """A connection is of no more use; ``str()`` says why. Stays inside this package."""


class StoreUrlError(ValueError):
    """A URL that we cannot read; ``str()`` says what is wrong in it and what is allowed.

    It never quotes what may be a password.
    """
