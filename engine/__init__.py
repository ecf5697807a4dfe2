"""An actor runtime on trio.

An actor (`Actor`) has a state of its own and handles one message (`Message`) at a time. A
supervisor (`SupervisorSpec`, `ChildSpec`) starts it and restarts it when it crashes. A reference
(`Ref`) is its address: it outlives the actor behind it. `open_system` runs a tree of them::

    class Add(Message[int], frozen=True):
        amount: int

    class Counter(Actor):
        def __init__(self) -> None:
            self.value = 0

        @handler
        def add(self, message: Add) -> int:
            self.value += message.amount
            return self.value

    async with open_system(SupervisorSpec("root", [ChildSpec("counter", Counter)])) as system:
        await system.ref("counter").ask(Add(2), timeout=1)

What is promised stands in `_supervisor`. Where to read on:

* ``_message``, ``_actor``, ``_context``, ``_ref``: what who writes an actor sees;
* ``_child``, ``_supervisor``, ``_lane``, ``_backoff``, ``_intensity``: who is restarted, and when;
* ``_cell``, ``_incarnation``, ``_lifecycle``: an address, the lives behind it, and their states;
* ``_mailbox``, ``_request``, ``_latency``, ``_waits``: mail, asks, how long they take and how long
  they may, circles of asks;
* ``_links``, ``_remote``, ``_link``, ``_outbox``, ``_wire``, ``_incoming``, ``_far``, ``_frame``,
  ``_protocol``, ``_failure``, ``_options``: actors of other processes;
* ``_process``, ``_spawned``, ``_join``, ``_watchdog``: processes as children;
* ``_system``, ``_statistics``, ``_tree``, ``_crash``, ``_redact``, ``_events``: what operators see.
"""

from ._actor import Actor, handler
from ._backoff import Backoff
from ._child import ChildSpec, SupervisorSpec
from ._context import Context
from ._crash import CrashReport
from ._errors import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    AskCycle,
    AskTimeout,
    EngineError,
    FrameTooLarge,
    LinkLost,
    MailboxFull,
    MalformedMessage,
    MalformedReply,
    NotAChild,
    NotPossible,
    ProcessExited,
    ProcessGone,
    RemoteActorCrashed,
    RemoteActorError,
    StartFailed,
    StartTimeout,
    SupervisorGaveUp,
    UnknownMessage,
    UnknownPath,
)
from ._events import Event
from ._join import Joined, join
from ._latency import ASK_BOUNDS
from ._link import Link
from ._links import Links
from ._mailbox import Mailbox
from ._message import Down, Message
from ._options import LinkOptions
from ._process import (
    Process,
    ProcessSpec,
    ProcessStatistics,
    Replace,
    Replaced,
)
from ._protocol import Protocol
from ._ref import ASK_TIMEOUT, Ref
from ._runtime import DeadLetter
from ._statistics import (
    ActorStatistics,
    LatencyStatistics,
    LinkStatistics,
    MailboxStatistics,
    SupervisorStatistics,
    SystemStatistics,
)
from ._system import Done, System, open_system
from ._tree import TreeNode

__all__ = [
    "ASK_BOUNDS",
    "ASK_TIMEOUT",
    "Actor",
    "ActorCrashed",
    "ActorError",
    "ActorStatistics",
    "ActorStopped",
    "AskCycle",
    "AskTimeout",
    "Backoff",
    "ChildSpec",
    "Context",
    "CrashReport",
    "DeadLetter",
    "Done",
    "Down",
    "EngineError",
    "Event",
    "FrameTooLarge",
    "Joined",
    "LatencyStatistics",
    "Link",
    "LinkLost",
    "LinkOptions",
    "LinkStatistics",
    "Links",
    "Mailbox",
    "MailboxFull",
    "MailboxStatistics",
    "MalformedMessage",
    "MalformedReply",
    "Message",
    "NotAChild",
    "NotPossible",
    "Process",
    "ProcessExited",
    "ProcessGone",
    "ProcessSpec",
    "ProcessStatistics",
    "Protocol",
    "Ref",
    "RemoteActorCrashed",
    "RemoteActorError",
    "Replace",
    "Replaced",
    "StartFailed",
    "StartTimeout",
    "SupervisorGaveUp",
    "SupervisorSpec",
    "SupervisorStatistics",
    "System",
    "SystemStatistics",
    "TreeNode",
    "UnknownMessage",
    "UnknownPath",
    "handler",
    "join",
    "open_system",
]
