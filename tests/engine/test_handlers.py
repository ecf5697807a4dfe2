"""Handlers are collected, and checked, when the class is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sluice.engine import Actor, Message, handler


class Ping(Message[str], frozen=True):
    pass


class LoudPing(Ping, frozen=True):
    pass


class Silent(Message, frozen=True):  # type: ignore[type-arg]  # the mistake under test
    pass


class Base(Actor):
    @handler
    def ping(self, message: Ping) -> str:
        return "base"


def define(**methods: Callable[..., Any]) -> type[Actor]:
    return type("Wrong", (Actor,), methods)


def test_a_subclass_inherits_handlers() -> None:
    class Heir(Base):
        @handler
        async def loud(self, message: LoudPing) -> str:
            return "loud"

    assert set(Heir.handlers) == {Ping, LoudPing}
    assert set(Base.handlers) == {Ping}


def test_a_subclass_replaces_a_handler_by_its_name() -> None:
    class Heir(Base):
        @handler
        def ping(self, message: Ping) -> str:
            return "heir"

    assert Heir.handlers[Ping].function(Heir(), Ping()) == "heir"


def test_two_handlers_of_one_message_are_rejected() -> None:
    with pytest.raises(TypeError, match="handles Ping twice: ping and again"):

        class Twice(Base):
            @handler
            def again(self, message: Ping) -> str:
                return ""


def unannotated(self, message):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    pass


def no_return(self: Actor, message: Ping):  # type: ignore[no-untyped-def]  # noqa: ANN201
    pass


def not_a_message(self: Actor, message: str) -> str:
    return ""


def two_arguments(self: Actor, message: Ping, more: int) -> str:
    return ""


def wrong_reply(self: Actor, message: Ping) -> int:
    return 0


def unknown_name(self: Actor, message: Pong) -> str:  # type: ignore[name-defined]  # noqa: F821
    return ""


def says_no_reply(self: Actor, message: Silent) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (unannotated, "annotated with a type of Message"),
        (no_return, "return type must be annotated"),
        (not_a_message, "annotated with a type of Message"),
        (two_arguments, "takes self and one message"),
        (wrong_reply, "Ping is a Message"),
        (unknown_name, "not known here"),
        (says_no_reply, "does not say its reply"),
    ],
)
def test_a_handler_that_makes_no_sense_is_rejected(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        define(wrong=handler(function))


def test_a_method_without_the_mark_is_no_handler() -> None:
    assert define(plain=Base.ping, plain_too=repr).handlers.keys() == {Ping}
    assert define(plain=test_a_method_without_the_mark_is_no_handler).handlers == {}
