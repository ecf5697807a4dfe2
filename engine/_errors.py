"""What can go wrong, named by whose fault it is.

=================  ==========================================================================
`ActorStopped`     yours: you asked an actor that is not there (stopped, or not yet started)
`ActorCrashed`     its: it died of your message, or while it was handling it
`MailboxFull`      its declared policy: there is no room, or your mail made room for newer mail
`AskTimeout`       nobody's, or everybody's: no reply within your deadline
`AskCycle`         yours: the reply (or the room) waits for you, so it would never come
`UnknownMessage`   yours: the actor has no handler for this message
`UnknownPath`      yours: there is no such actor; the message names what exists
`ProcessGone`      the other process's: it, or the link to it, is not there; an `ActorStopped`
`RemoteActorError` another process's actor's: what its handler declares; a crash is the kind
                   `RemoteActorCrashed`, which is an `ActorCrashed` too
`MalformedMessage` yours: the other process cannot read the message: a field of a wrong type
`MalformedReply`   another process's actor's: its reply is not what the message declares
`FrameTooLarge`    yours: more than a link takes in one frame
`NotPossible`      yours, as an operator: the actor is there, but this cannot be done to it now
`StartFailed`      the child's: it raised, or was not ready within its start deadline
`SupervisorGaveUp` a child's: it was restarted more often than the declared intensity allows
`ProcessExited`    a child process's: it ended, or lost its link, without having been asked to
`NotAChild`        yours: `join` was called in a program that nobody started as a child
`LinkLost`         the parent process's: it, or the link to it, is gone
=================  ==========================================================================
"""

# ruff: noqa: N818 -- named by what happened and to whom, as trio's own are.

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._crash import CrashReport


class EngineError(Exception):
    """The base of all errors of the engine, for those who do not care which."""


class ActorError(EngineError):
    """What an `ask` or a `tell` may raise. ``path`` is the actor's."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class ActorStopped(ActorError):
    """The actor is not there to answer, and nobody is about to start it."""


class ActorCrashed(ActorError):
    """The actor crashed while it handled this message.

    ``report`` says of what, with secrets redacted.
    """

    def __init__(self, path: str, message: str, report: CrashReport | None = None) -> None:
        super().__init__(path, message)
        self.report = report


class MailboxFull(ActorError):
    """There is no room in the mailbox, or this message had to make room for a newer one."""


class AskTimeout(ActorError):
    """No reply within the deadline. The message may or may not have been handled."""


class AskCycle(ActorError):
    """The actor waits, directly or through others, for the one who asks. Not sent."""


class UnknownMessage(ActorError):
    """The actor has no handler for a message of this type."""


class ProcessGone(ActorStopped):
    """There is no link to the actor's process, or it ended before the reply came.

    The message may or may not have been handled.
    """


class MalformedMessage(ActorError):
    """The actor's process cannot read the message as the type that it says it is. Not handled."""


class MalformedReply(ActorError):
    """The handler, in another process, replied what is not its message's type of reply."""


class FrameTooLarge(ActorError):
    """The message, or the reply to it, is larger than the link's ``max_frame``. Not sent."""


class RemoteActorError(ActorError):
    """The handler, in another process, raised what it declares as a reply.

    ``process`` is that process, ``type_name`` the exception's type there, ``traceback`` its text,
    with the message's secrets redacted.
    """

    def __init__(
        self,
        path: str,
        message: str,
        *,
        process: str,
        type_name: str,
        traceback: str = "",
        report: CrashReport | None = None,
    ) -> None:
        super().__init__(path, message)
        self.process = process
        self.type_name = type_name
        self.traceback = traceback
        self.report = report


class RemoteActorCrashed(RemoteActorError, ActorCrashed):
    """The actor, in another process, crashed while it handled this message."""


class UnknownPath(EngineError, LookupError):
    """There is no actor or supervisor at this path."""


class NotPossible(EngineError):
    """What an operator asked for cannot be done; the message says why not."""


class StartFailed(EngineError):
    """A child did not start. ``__cause__`` is what it raised, if it raised."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class StartTimeout(EngineError):
    """`Actor.on_start` was not done within the child's ``start_timeout``."""


class ProcessExited(EngineError):
    """A child process has ended, or lost its link, without having been asked to stop."""


class NotAChild(EngineError):
    """This process was not started as a `Process`; the message says what is missing or wrong."""


class LinkLost(EngineError):
    """The link to the parent process has ended: there is nobody to work for."""


class SupervisorGaveUp(EngineError):
    """More restarts than the declared intensity; the parent decides now."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
