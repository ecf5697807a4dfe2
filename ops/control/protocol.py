"""What is said on the control WebSocket: JSON text frames, one object each.

A client opens ``/control`` and names the subprotocol `SUBPROTOCOL`, which is the version. Then

* it sends commands, each with an ``id`` of its own: ``{"command": "restart", "id": 1,
  "path": "metrics"}``;
* each is answered once, with the same ``id``: ``{"reply": "done", "id": 1, "result": {...}}`` or
  ``{"reply": "error", "id": 1, "code": "unknown_path", "message": "..."}``. Answers come as
  commands end, not in the order in which they were sent;
* after `Events` was answered, what happens comes as ``{"reply": "event", "event": {...}}``.

A frame that is no command is answered with an error whose ``id`` is 0. Times are seconds;
moments are RFC 3339, UTC. Unknown fields are ignored, so that fields may be added.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec

SUBPROTOCOL: Final = "sluice.control.v1"
PATH: Final = "/control"

COMMAND_LIMIT: Final = 16 * 1024
"""Bytes of a command: a path and a few words need a few hundred."""
REPLY_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of an answer: a tree of thousands of actors with their statistics fits."""

LogLevel = Literal["debug", "info", "warning", "error"]
BreakerState = Literal["closed", "half_open", "open"]
Code = Literal[
    "invalid", "unknown_path", "unknown_breaker", "not_possible", "failed", "busy", "unavailable"
]
LimitKind = Literal["ip", "user", "token"]
"""``invalid``: no command; ``unavailable``: it is starting; ``failed``: it was tried in vain."""


# -- what comes back -----------------------------------------------------------------------------


class ProcessStatus(msgspec.Struct, frozen=True):
    """One process of the service."""

    name: str
    pid: int | None
    """None: there is no such process now."""
    state: str
    """``starting``, ``serving``, ``draining``, ``stopped`` (its streams, by an operator); ``down``;
    ``not answering``: it is held up."""
    uptime: float
    streams: int
    """Live; a host has none."""
    cpu: float = 0.0
    """Seconds of CPU, user and system, since its start."""
    memory: int = 0
    """Bytes resident."""


class BreakerStatus(msgspec.Struct, frozen=True):
    """One circuit breaker."""

    name: str
    """The provider; of a model that has its own, ``PROVIDER/MODEL``."""
    state: BreakerState
    held: bool = False
    """Open until an operator closes or resets it."""
    failing: int = 0
    """Failures in a row, while it is closed."""
    seconds: float | None = None
    """Until it lets a probe through, if it is open and not held."""


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The service as a whole."""

    state: Literal["starting", "serving", "draining", "stopped"]
    """``stopped``: an operator has stopped what serves; whoever asks is answered 503."""
    version: str
    uptime: float
    addresses: tuple[str, ...]
    """Where it serves clients."""
    streams: int
    connections: int
    """Slots in use, of ``connection_limit``."""
    connection_limit: int
    actors: int
    crashes: int
    restarts: int
    log_level: LogLevel
    processes: tuple[ProcessStatus, ...]
    breakers: tuple[BreakerStatus, ...] = ()
    limits: dict[LimitKind, str] = {}
    """What callers may ask, such as ``100/minute`` or ``off``."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One supervisor or actor, and what is below it."""

    path: str
    """What commands call it; empty: the root."""
    id: str
    kind: str
    """``supervisor``, or the name of the actor's class."""
    process: str
    """Where it lives."""
    pid: int | None = None
    """That process's id. Of a worker it is the worker's, though who minds it is the host's."""
    state: str
    incarnation: int
    """Of the actor; of one that stands for a process, each may have had several of these."""
    generation: int = 0
    """Of that process, from 1; 0: it stands for none."""
    restarts: int
    strategy: str = ""
    waiting: int = 0
    """Messages in the mailbox, of ``capacity``."""
    capacity: int = 0
    uptime: float = 0.0
    handled: int = 0
    crashes: int = 0
    handling: str | None = None
    statistics: dict[str, Any] | None = None
    """What the actor says of itself."""
    note: str = ""
    """What is wrong with it; or why nothing is known of what is below it."""
    children: tuple[Node, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What a command did to an actor."""

    action: str
    path: str
    state: str
    incarnation: int
    detail: str
    seconds: float
    generation: int = 0
    """Of the process, if it was done to one; from 1."""


class Draining(msgspec.Struct, frozen=True):
    """The drain has begun; the connection closes when the service has ended."""

    streams: int
    seconds: float
    """That streams get."""


class LevelSet(msgspec.Struct, frozen=True):
    """The log's level, now and before."""

    level: LogLevel
    before: LogLevel
    missed: tuple[str, ...] = ()
    """Processes that did not answer; they are told as soon as they do."""


class LimitsSet(msgspec.Struct, frozen=True):
    """What callers may ask, now and before."""

    limits: dict[LimitKind, str]
    before: dict[LimitKind, str]
    missed: tuple[str, ...] = ()
    """Processes that did not answer; they are told as soon as they do."""


class ProviderFigures(msgspec.Struct, frozen=True):
    """One provider. Rates are per second, over the `Figures.interval`."""

    name: str
    requests: float
    errors: float
    idle: int
    """Connections."""
    active: int
    breaker: BreakerState = "closed"
    """The worst of its circuit breakers."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What moved between this client's last two looks, and what is now."""

    interval: float
    """Seconds between the looks; 0: this was the first, and there is no rate yet."""
    requests: float = 0.0
    """That ended, per second."""
    errors: float = 0.0
    chunks: float = 0.0
    first_chunk_p50: float | None = None
    """Seconds, from the histogram's buckets; None: no stream began in the interval."""
    first_chunk_p99: float | None = None
    connections: int = 0
    connection_limit: int = 0
    providers: tuple[ProviderFigures, ...] = ()


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One event."""

    kind: str
    """``started``, ``crashed``, ``restarting``, ``paused`` ...; more will come."""
    at: str
    path: str
    process: str
    incarnation: int = 0
    """Of the actor, from 1; 0: it is about none."""
    generation: int = 0
    """Of the process, from 1; 0: likewise."""
    detail: str = ""
    report: dict[str, Any] | None = None
    """Of a crash; without secrets."""


# -- commands ------------------------------------------------------------------------------------


class _Command(msgspec.Struct, frozen=True, tag_field="command", tag=str.lower):
    """What all commands have. ``answer`` is the type of the result."""

    id: int
    answer: ClassVar[Any] = None


class Status(_Command, frozen=True):
    """How the service is."""

    answer: ClassVar[Any] = ServiceStatus


class Tree(_Command, frozen=True):
    """All supervisors and actors."""

    answer: ClassVar[Any] = Node


class _OnActor(_Command, frozen=True):
    path: str
    answer: ClassVar[Any] = Outcome


class Restart(_OnActor, frozen=True):
    """Stop what is at ``path`` in order, and start it anew."""


class Pause(_OnActor, frozen=True):
    """Let its mail wait."""


class Resume(_OnActor, frozen=True):
    """End a pause."""


class Stop(_OnActor, frozen=True):
    """Stop it until it is restarted."""


class Drain(_Command, frozen=True):
    """Take no new streams, finish those that run, and end, as on SIGTERM."""

    answer: ClassVar[Any] = Draining


class SetLevel(_Command, frozen=True, tag="log-level"):
    """Log from ``level`` on; None: only tell the level."""

    level: LogLevel | None = None
    answer: ClassVar[Any] = LevelSet


class Breaker(_Command, frozen=True):
    """Have the circuit breaker ``name`` opened, closed or reset; None: only tell how it is.

    A provider's name means all breakers of that provider.
    """

    name: str
    order: Literal["open", "close", "reset"] | None = None
    answer: ClassVar[Any] = list[BreakerStatus]


class SetLimit(_Command, frozen=True, tag="limit"):
    """Limit the callers of ``kind`` to ``rate``, as the configuration would say it.

    ``configured``: to what it does say. Without ``kind`` or ``rate`` only tell.
    """

    kind: LimitKind | None = None
    rate: str | None = None
    answer: ClassVar[Any] = LimitsSet


class Look(_Command, frozen=True, tag="figures"):
    """What moved since this client's last look."""

    answer: ClassVar[Any] = Figures


class Events(_Command, frozen=True):
    """Send events from now on. Sent twice, it is as good as once."""


Command: TypeAlias = (
    Status
    | Tree
    | Restart
    | Pause
    | Resume
    | Stop
    | Drain
    | SetLevel
    | SetLimit
    | Breaker
    | Look
    | Events
)


# -- frames to the client ------------------------------------------------------------------------


class Done(msgspec.Struct, frozen=True, tag_field="reply", tag="done"):
    """The command was carried out."""

    id: int
    result: Any = None


class Error(msgspec.Struct, frozen=True, tag_field="reply", tag="error"):
    """It was not; ``message`` says why in words."""

    id: int
    code: Code
    message: str


class Event(msgspec.Struct, frozen=True, tag_field="reply", tag="event"):
    """Something happened."""

    event: Happened


Frame: TypeAlias = Done | Error | Event


class Refused(Exception):  # noqa: N818 -- what happened to the command
    """A command that is not carried out. ``code`` is for programs, the text for people."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


_commands: Final = msgspec.json.Decoder(Command)
_frames: Final = msgspec.json.Decoder(Frame)
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


def read_command(text: str | bytes) -> Command:
    """The command in a frame. Raises `Refused` (``invalid``) with what is wrong, and where."""
    if isinstance(text, bytes):
        raise Refused("invalid", "commands are text frames, not binary ones")
    try:
        command: Command = _commands.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as problem:
        raise Refused("invalid", f"not a command of {SUBPROTOCOL}: {problem}") from problem
    return command


def read_frame(text: str | bytes) -> Frame:
    """What the server said. Raises ValueError (`msgspec.DecodeError`) if it is none of ours."""
    received: Frame = _frames.decode(text)
    return received


def frame(message: Command | Frame) -> str:
    """``message`` as it is sent."""
    return _encode(message).decode()
