"""Actors: what one is, and what it may do.

::

    class Counter(Actor):
        def __init__(self) -> None:
            self.value = 0

        @handler
        def add(self, message: Add) -> int:
            self.value += message.amount
            return self.value
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar, get_args, get_type_hints, overload

from ._context import Context
from ._mailbox import Mailbox
from ._message import Message

F = TypeVar("F", bound=Callable[..., Any])
MARK = "_sluice_handler_raises"


@overload
def handler(function: F, /) -> F: ...
@overload
def handler(*, raises: tuple[type[Exception], ...]) -> Callable[[F], F]: ...
def handler(
    function: F | None = None, /, *, raises: tuple[type[Exception], ...] = ()
) -> F | Callable[[F], F]:
    """Make a method of an `Actor`, sync or async, the handler of one type of message.

    The type is the annotation of its only argument; its return annotation must be that message's
    reply type. Exceptions of the types in ``raises`` are replies: they are raised in the asker,
    and the actor goes on. Any other exception crashes the actor.
    """

    def mark(function: F) -> F:
        setattr(function, MARK, raises)
        return function

    return mark if function is None else mark(function)


class Entry(NamedTuple):
    """The handler of one type of message."""

    function: Callable[[Any, Any], Any]
    is_async: bool
    raises: tuple[type[Exception], ...]


class Actor:
    """The base of all actors: state of its own, and one message handled at a time.

    A supervisor makes each incarnation of it anew, by the factory of its child spec. Handlers,
    `on_start` and `on_stop` never run at the same time as each other; background tasks (
    ``self.context.spawn``) run beside them.
    """

    mailbox: ClassVar[Mailbox] = Mailbox()
    """The mailbox that actors of this class want."""

    handlers: ClassVar[dict[type[Message[Any]], Entry]] = {}
    """Collected from the methods marked with `handler` when the class is defined."""

    context: Context
    """This incarnation's place in the system; set before `on_start`, not yet in ``__init__``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the handlers. Raises `TypeError` for one that makes no sense."""
        super().__init_subclass__(**kwargs)
        cls.handlers = _collect(cls)

    async def on_start(self) -> None:
        """Get ready: the supervisor goes on with the next child when this returns.

        Raising, or taking longer than the child's ``start_timeout``, is a failed start.
        """

    async def on_stop(self) -> None:
        """Finish: no handler is running and none will. Background tasks still run.

        Called once, when the actor is asked to stop (never after a crash), within what is left
        of the child's ``shutdown`` seconds; then the incarnation is cancelled.
        """

    def on_end(self) -> None:
        """Let go of what only this incarnation holds outside (sockets, registrations).

        Called last, after a crash, a failed start and a cancellation too.
        """

    def statistics(self) -> object:
        """A frozen snapshot of what the domain wants to show (a msgspec struct or a dict)."""
        return None


def _collect(cls: type[Actor]) -> dict[type[Message[Any]], Entry]:
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        names.update(dict.fromkeys(vars(base)))
    handlers: dict[type[Message[Any]], Entry] = {}
    owners: dict[type[Message[Any]], str] = {}
    for name in names:
        function = inspect.getattr_static(cls, name, None)
        raises = getattr(function, MARK, None)
        if raises is None or not inspect.isfunction(function):
            continue
        message_type = _message_type(cls, function)
        if message_type in handlers:
            twice = f"{owners[message_type]} and {name}"
            raise TypeError(f"{cls.__name__} handles {message_type.__name__} twice: {twice}")
        owners[message_type] = name
        handlers[message_type] = Entry(function, inspect.iscoroutinefunction(function), raises)
    return handlers


def _message_type(cls: type[Actor], function: Callable[..., Any]) -> type[Message[Any]]:
    """The type of message that ``function`` handles. Raises `TypeError` if it is no handler."""
    where = f"{cls.__name__}.{function.__name__}"
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise TypeError(f"{where}: a handler takes self and one message")
    try:
        hints = get_type_hints(function)
    except NameError as unknown:
        raise TypeError(f"{where}: an annotation is not known here: {unknown}") from unknown
    annotation = hints.get(parameters[1].name)
    if not (isinstance(annotation, type) and issubclass(annotation, Message)):
        raise TypeError(f"{where}: its argument must be annotated with a type of Message")
    if "return" not in hints:
        raise TypeError(f"{where}: its return type must be annotated")
    expected = reply_type(annotation)
    if hints["return"] != expected:
        raise TypeError(
            f"{where}: returns {hints['return']!r}, but {annotation.__name__} is a "
            f"Message[{expected!r}]"
        )
    return annotation


def reply_type(message_type: type[Message[Any]]) -> Any:
    """The ``R`` of the ``Message[R]`` that ``message_type`` is."""
    for base in message_type.__mro__:
        for origin in getattr(base, "__orig_bases__", ()):
            arguments = get_args(origin)
            if arguments and getattr(origin, "__origin__", None) is Message:
                return type(None) if arguments[0] is None else arguments[0]
    raise TypeError(f"{message_type.__name__} does not say its reply: class X(Message[Reply])")
