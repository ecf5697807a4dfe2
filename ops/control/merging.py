"""What a host and its workers show, as one tree and one status. All pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .orders import Surveyed
from .paths import WORKERS
from .protocol import Node, ProcessStatus
from .usage import Usage

Answers = Mapping[str, Surveyed | str]
"""What each worker says of itself; text: why it says nothing."""


class Generation(msgspec.Struct, frozen=True):
    """One process of a worker's, as its host knows it."""

    name: str
    pid: int | None
    number: int
    draining: bool = False
    """Another one has taken its place."""


def whole_tree(host: Node, answers: Answers, generations: Mapping[str, Generation]) -> Node:
    """The host's tree, with each worker's actors below the child that stands for it."""
    children = tuple(
        msgspec.structs.replace(
            each,
            children=tuple(_worker(child, answers, generations) for child in each.children),
        )
        if each.path == WORKERS
        else each
        for each in host.children
    )
    return msgspec.structs.replace(host, children=children)


def process_status(
    generation: Generation, answer: Surveyed | str, usage: Usage, streams: int
) -> ProcessStatus:
    """One worker's process."""
    name = generation.name
    if generation.draining:
        name, state = f"{name}#{generation.number}", "draining"
    elif generation.pid is None:
        state = "down"
    else:
        state = "not answering" if isinstance(answer, str) else answer.state
    return ProcessStatus(
        name=name,
        pid=generation.pid,
        state=state,
        uptime=0.0 if isinstance(answer, str) or generation.draining else answer.uptime,
        streams=streams,
        cpu=usage.cpu,
        memory=usage.memory,
    )


def _worker(node: Node, answers: Answers, generations: Mapping[str, Generation]) -> Node:
    """A worker's node: of the host's making, with the worker's own actors below.

    The actor that minds it lives on, in the same incarnation, when its process is replaced.
    """
    answer, generation = answers.get(node.id, ""), generations[node.id]
    changes = {"process": node.id, "pid": generation.pid, "generation": generation.number}
    if isinstance(answer, str):
        return msgspec.structs.replace(node, **changes, note=answer)
    return msgspec.structs.replace(
        node, **changes, uptime=answer.uptime, children=answer.tree.children
    )
