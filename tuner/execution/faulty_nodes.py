"""Keeps trials off nodes whose failures are their own: a trial that failed on one node runs again on another.

A broken node or process fails trial after trial at once, so it is always the first to be free for the next one. A
failure is a node's own where the same trial then worked elsewhere. Must not import Ray.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuner.execution.packing import Resources

_PATIENCE = 3  # failures of a node that trials elsewhere refuted, before trials are kept off it
_HOW = "repair or remove it; it is used again when the search is continued"


@dataclass(frozen=True)
class Node:
    """A living node of the cluster."""

    id: str  # Ray's
    address: str
    host: str
    resources: Resources


class FaultyNodes:
    """The failures of nodes in this session.

    Args:
        nodes: reads the living ones.
        has_room: whether an empty node with these resources has room for a trial.
        left_out: gets the ids of nodes that no trial is given to any more.
    """

    def __init__(
        self,
        nodes: Callable[[], Sequence[Node]],
        has_room: Callable[[Resources], bool],
        left_out: set[str],
    ) -> None:
        self._nodes = nodes
        self._has_room = has_room
        self._left_out = left_out
        self._refuted: Counter[str] = Counter()

    def id_at(self, address: str) -> str:
        """The node at this address; "" where there is none."""
        return next((node.id for node in self._nodes() if node.address == address), "")

    def host_at(self, address: str) -> str:
        """The name of the node at this address; "" where there is none."""
        return next((node.host for node in self._nodes() if node.address == address), "")

    def to_avoid(self, failed_on: Collection[str]) -> tuple[str, ...]:
        """The nodes that a trial must not run on; none where no other node has room for it.

        Args:
            failed_on: the nodes that it failed on.
        """
        for off in (self._left_out | set(failed_on), self._left_out):
            if off:  # Ray is asked where something is to be avoided only
                living = {node.id for node in self._nodes()}
                if self.has_room_beside(off):
                    return tuple(sorted(off & living))
        return ()

    def has_room_beside(self, nodes: Collection[str]) -> bool:
        """Whether another node has room for a trial."""
        return any(
            node.id not in nodes and self._has_room(node.resources) for node in self._nodes()
        )

    def any_in_vain(
        self, waiting: Iterable[tuple[Resources, Collection[str]]], *, runs: bool
    ) -> bool:
        """Whether a pending trial waits for a node that is not there, and should be.

        One that must not run on any node with room does. One that asks for a kind of GPU which is gone may wait for an
        autoscaler, but not where nothing runs and other nodes have room.

        Args:
            waiting: what each asks for, and the nodes that it must not run on.
            runs: whether any trial runs.
        """
        living = self._nodes()  # Ray is asked once

        def others(avoided: Collection[str]) -> list[Resources]:
            return [node.resources for node in living if node.id not in avoided]

        is_idle = not runs and any(map(self._has_room, others(())))
        return any(
            is_idle or (bool(avoided) and not any(map(self._has_room, others(avoided))))
            for requested, avoided in waiting
            if not any(_has(node, requested) for node in others(avoided))
        )

    def note_success(self, node: str, failed_on: Collection[str]) -> Iterator[str]:
        """Notes that a trial works on `node`, which failed on others before; notes for the person about these."""
        self._refuted.pop(node, None)
        for other in set(failed_on) - {node, ""}:
            self._refuted[other] += 1
            if self._refuted[other] >= _PATIENCE and other not in self._left_out:
                host = next((each.host for each in self._nodes() if each.id == other), None)
                if host is not None and self.has_room_beside(self._left_out | {other}):
                    self._left_out.add(other)
                    yield (
                        f"{host} is left out: {_PATIENCE} trials failed on it and worked on other nodes; {_HOW}"
                    )


def _has(resources: Resources, requested: Resources) -> bool:
    """Whether an empty node with these resources has what is asked for."""
    return all(resources.get(name, 0.0) >= amount for name, amount in requested.items())


def label_selector(avoided: Sequence[str]) -> Mapping[str, str]:
    """The labels that a node must have, as Ray writes them, to be none of `avoided`."""
    return {"ray.io/node-id": f"!in({','.join(avoided)})"} if avoided else {}
