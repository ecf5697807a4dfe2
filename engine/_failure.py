"""What was raised in one process, told to the asker in another.

=======================================================  =====================================
raised there                                             raised in the asker
=======================================================  =====================================
`ActorStopped`, `MailboxFull`, `AskCycle`,               the same
`UnknownMessage`, `UnknownPath`, `FrameTooLarge`,
`MalformedMessage`
a crash (`ActorCrashed`)                                 `RemoteActorCrashed`, with its report
any other: what the handler declares as a reply          `RemoteActorError`
=======================================================  =====================================
"""

from __future__ import annotations

import traceback
from typing import Final

from ._errors import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    AskCycle,
    AskTimeout,
    FrameTooLarge,
    MailboxFull,
    MalformedMessage,
    ProcessGone,
    RemoteActorCrashed,
    RemoteActorError,
    UnknownMessage,
    UnknownPath,
)
from ._frame import Failure
from ._redact import Redactor

SAME: Final[dict[str, type[ActorError]]] = {
    error.__name__: error
    for error in (
        ActorStopped,
        AskCycle,
        AskTimeout,
        FrameTooLarge,
        MailboxFull,
        MalformedMessage,
        ProcessGone,
        UnknownMessage,
    )
}
LONGEST_TRACEBACK: Final = 8192
"""Characters; of a longer one the end is told, where the fault is."""
LONGEST_TEXT: Final = 1000


def describe(number: int, path: str, error: Exception, message: object) -> Failure:
    """The frame that tells ``error``, without the secrets of ``message``."""
    redactor = Redactor()
    redactor.value(message)
    text = redactor.text(str(error))[:LONGEST_TEXT]
    if isinstance(error, ActorCrashed):
        return _describe_crash(number, path, error, text)
    name = type(error).__name__
    if SAME.get(name) is type(error) or isinstance(error, UnknownPath):
        return Failure(number, name, path, text)
    lines = "".join(traceback.format_exception(error))
    told = redactor.text(lines)[-LONGEST_TRACEBACK:]
    return Failure(number, "RemoteActorError", path, text, name[:256], told)


def _describe_crash(number: int, path: str, error: ActorCrashed, text: str) -> Failure:
    report = error.report
    if report is None:
        return Failure(number, "RemoteActorCrashed", path, text)
    name = report.reason.partition(":")[0][:256]
    told = report.traceback[-LONGEST_TRACEBACK:]
    return Failure(number, "RemoteActorCrashed", path, text, name, told, report)


def revive(failure: Failure, process: str) -> Exception:
    """The exception that ``failure``, told by ``process``, is in the asker."""
    path = f"{failure.path}@{process}"
    text = f"{failure.text} (in process {process})"
    same = SAME.get(failure.kind)
    if same is not None:
        return same(path, text)
    if failure.kind == "UnknownPath":
        return UnknownPath(text)
    kind = RemoteActorCrashed if failure.kind == "RemoteActorCrashed" else RemoteActorError
    return kind(
        path,
        text,
        process=process,
        type_name=failure.fault,
        traceback=failure.traceback,
        report=failure.report,
    )
