"""Numbers with their nouns, as people are told them."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 stream``, ``2 streams``; ``plural``: of a noun that makes it in another way."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"
