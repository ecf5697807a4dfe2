"""How long a request is patient with the store."""

from __future__ import annotations


class Patience:
    """What a request may still lose to the store: one for all its operations.

    ``left``: seconds; `StoreClient.run` takes off what it took.
    """

    __slots__ = ("left",)

    def __init__(self, seconds: float = 0.05) -> None:
        self.left = seconds

    def __repr__(self) -> str:
        return f"<Patience {self.left * 1000:.1f} ms>"
