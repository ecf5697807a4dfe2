"""Operations that wait to be sent at the same time, and are sent as one.

One step of a script has a price of its own, whatever it does. So where an `Op` names a script
that does several of its kind at once (``Op.together``), those that are sent in one turn of the
event loop become one operation, and each of them gets its own answer.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from .entry import Entry
from .errors import LinkFailed, StoreUnavailable
from .operation import Op

if TYPE_CHECKING:
    from .operation import Script

MOST: Final = 64
"""That become one: what else the server has to do waits for all of them, half a millisecond."""

_NONE: Final = Op(())
_KEY: Final = 3
"""Where the one key of a script's operation stands, before its arguments."""


class Together(Entry):
    """The one operation that several become. ``script``: does what all of them ask.

    Its keys are theirs, its arguments those of each, one after the other; it answers with a list
    of what each would have got.
    """

    __slots__ = ("members", "script")

    def __init__(self, script: Script) -> None:
        super().__init__(_NONE, inf)
        self.script = script
        self.members: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """One more."""
        self.members.append(entry)
        self.due = min(self.due, entry.due)

    def joined(self) -> Op:
        """What is sent: one alone is asked as it is."""
        members = self.members
        if len(members) == 1:
            return members[0].op
        keys = [entry.op.args[_KEY] for entry in members]
        args = [arg for entry in members for arg in entry.op.args[_KEY + 1 :]]
        script = self.script
        return Op(("EVALSHA", script.sha, len(keys), *keys, *args), None, script.source)

    def settle(self, value: object) -> None:
        """Each of them has its answer. Raises `LinkFailed` if there are not as many; they fail."""
        members = self.members
        answers = value if len(members) > 1 and isinstance(value, list) else [value]
        if len(answers) != len(members):
            reason = "the store did not answer as many operations as it was asked"
            self.fail(StoreUnavailable(reason))
            raise LinkFailed(reason)
        for entry, answer in zip(members, answers, strict=True):
            entry.settle(answer)

    def fail(self, error: StoreUnavailable) -> None:
        """None of them is answered."""
        for entry in self.members:
            entry.fail(error)
