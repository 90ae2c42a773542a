"""How the trials of a search share the GPUs of its cluster: what each asks Ray for, and where there is room for it.

Each kind of GPU has a share of its own, see `tuner.execution.shares`. Must not import Ray.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.execution.shares import Share, auto_share, given_share, larger_share, lowered_share
from tuner.training.gpu_memory import GpuFigures

# The resources of a node by Ray's names, such as CPU and GPU.
Resources = Mapping[str, float]

_ROUNDING = 1e-9
_KIND = "accelerator_type:"
_OF_A_KIND = 0.001  # of the node's resource of that name, as Ray itself asks for it


@dataclass(frozen=True)
class Place:
    """A trial's place: its share of a GPU, and the resources that it asks Ray for."""

    share: Share
    resources: Resources
    kind: str | None = None  # of GPU; None where there is one kind only, or none
    slots: int = 1  # places of ordinary trials that it takes
    is_larger: bool = False  # than others' share, because the trial ran out of memory
    lowered: int = 0  # how often the packing had been lowered by then

    @property
    def is_shared(self) -> bool:
        """Whether others share the GPU, and the share has not been enlarged for that yet."""
        return self.share.is_part and not self.is_larger


def kind_of(node: Resources) -> str | None:
    """The kind of a node's GPUs by Ray's name, such as T4; None where Ray does not tell."""
    return next((name.removeprefix(_KIND) for name in node if name.startswith(_KIND)), None)


# -- a search's packing ---------------------------------------------------------------------------


@dataclass(frozen=True)
class GpuKind:
    """A kind of GPU in the cluster, as it was measured."""

    name: str | None  # by Ray's name; None where it does not tell
    figures: GpuFigures | None  # None of trials that need no memory
    most: int  # trials per GPU, where `auto` decides


class Packing:
    """How the trials of one search share the GPUs of its cluster.

    Args:
        cpus: of each trial.
        gpus: of each trial, as the person asked for them.
        kinds: the kinds of GPUs, measured; none where trials have whole GPUs, or no GPU.
        host_mb: memory of the machine that each trial's process takes.
    """

    def __init__(
        self,
        cpus: float,
        gpus: float | Literal["auto"] = 0.0,
        kinds: Sequence[GpuKind] = (),
        *,
        host_mb: float = 1.0,
    ) -> None:
        self.host_mb = host_mb
        self._cpus = cpus
        self._kinds = {kind.name: kind for kind in kinds}
        self.unknown_kinds: set[str] = set()  # of GPUs that joined later
        self.lowered = 0  # so often
        self._shares: dict[str | None, Share]
        if gpus == "auto":
            self._shares = {kind.name: auto_share(kind.figures, kind.most) for kind in kinds}
        elif kinds:
            self._shares = {kind.name: given_share(kind.figures, gpus) for kind in kinds}
        else:
            self._shares = {None: Share(gpus)}  # none, or whole GPUs

    def lower(self) -> None:
        """Puts fewer trials on each GPU from now on, with more memory each."""
        self.lowered += 1
        self._shares = {
            name: lowered_share(self._kinds[name].figures, share) if share.is_part else share
            for name, share in self._shares.items()
        }

    @property
    def description(self) -> str:
        """Trials per GPU, in words."""
        return ", ".join(
            f"{share.fit_on(1)} per {name or 'GPU'}" for name, share in self._shares.items()
        )

    def fit(self, node: Resources) -> int:
        """Trials that one node has room for; a trial never spans two nodes."""
        share = self._share_on(node)
        if share is None:
            return 0
        fit = int(node.get("CPU", 0.0) / self._cpus + _ROUNDING)
        return min(fit, share.fit_on(node.get("GPU", 0.0))) if share.gpus else fit

    def place(
        self,
        running: Iterable[Place] = (),
        nodes: Callable[[], Iterable[Resources]] = tuple,
        *,
        usable: Callable[[], Iterable[Resources]] | None = None,
        coming: Collection[str | None] = (),
        is_larger: bool = False,
    ) -> Place:
        """A place for the next trial; of several kinds of GPUs, on the one that has most room.

        Its request names the kind only where it could get another: autoscalers may not know the name.

        Args:
            running: the places that are taken.
            nodes: reads those that live.
            usable: reads those of them that it may run on; None: all.
            coming: the kinds of GPUs that an autoscaler starts nodes with, where it knows them.
            is_larger: for a trial that ran out of memory: twice the share.
        """
        kind, has_others = self._choose_kind(running, nodes, usable, coming)
        share = self._shares[kind]
        is_larger, slots = is_larger and share.is_part, 1
        if is_larger:
            # Twice the share; where that is the whole GPU, those that it has room for otherwise.
            slots = min(2, share.fit_on(1))
            share = larger_share(self._kinds[kind].figures, share)
        resources = {"CPU": self._cpus, "GPU": share.gpus}
        if kind is not None and has_others:
            resources[f"{_KIND}{kind}"] = _OF_A_KIND
        return Place(share, resources, kind, slots, is_larger, self.lowered)

    # -- inside -------------------------------------------------------------------------------

    def _share_on(self, node: Resources) -> Share | None:
        """The share of a trial on this node; None on GPUs of a kind that was not measured."""
        if None in self._shares or not node.get("GPU"):
            return next(iter(self._shares.values()))
        kind = kind_of(node)
        if kind is None:  # such as one that an autoscaler may start
            return max(self._shares.values(), key=lambda share: share.gpus)
        if kind not in self._shares:
            self.unknown_kinds.add(kind)
        return self._shares.get(kind)

    def _choose_kind(
        self,
        running: Iterable[Place],
        nodes: Callable[[], Iterable[Resources]],
        usable: Callable[[], Iterable[Resources]] | None,
        coming: Collection[str | None],
    ) -> tuple[str | None, bool]:
        """The kind of GPU for the next trial, and whether there are others, or may be."""
        if len(self._shares) == 1 and not self.unknown_kinds:
            return next(iter(self._shares)), False
        room: Counter[str | None] = Counter()
        may_come = set(coming) - {None}
        living = [node for node in nodes() if node.get("GPU")]
        left = living if usable is None else [node for node in usable() if node.get("GPU")]
        for node in left:
            room[kind_of(node)] += self.fit(node)
        known = set(room)
        # A trial that must not run on some nodes waits for an autoscaler only where it could run nowhere else.
        if len(left) == len(living) or not known:
            known |= may_come
        for place in running:
            room[place.kind] -= place.slots
        # Where none is left, the largest share fits on whichever comes back first.
        chosen = max(
            [kind for kind in self._shares if kind in known] or self._shares,
            key=lambda kind: (room[kind] if known else 0, self._shares[kind].gpus),
        )
        return chosen, bool((may_come | set(map(kind_of, living))) - {chosen})


class Places:
    """The places of the trials that run.

    Args:
        packing: how trials share GPUs.
        nodes: reads the resources of the living nodes but those with these ids.
        coming: the kinds of GPUs that an autoscaler starts nodes with, where it knows them.
    """

    def __init__(
        self,
        packing: Packing,
        nodes: Callable[[Collection[str]], Sequence[Resources]],
        coming: Collection[str | None] = (),
    ) -> None:
        self.packing = packing
        self._nodes = nodes
        self._coming = coming
        self._taken: dict[int, Place] = {}

    def take(self, number: int, *, avoided: Collection[str] = (), is_larger: bool = False) -> Place:
        """A place for trial `number`, until it is freed.

        Args:
            avoided: ids of nodes that it must not run on.
            is_larger: for a trial that ran out of memory: twice the share.
        """
        place = self.packing.place(
            self._taken.values(),
            lambda: self._nodes(()),
            usable=(lambda: self._nodes(avoided)) if avoided else None,
            coming=self._coming,
            is_larger=is_larger,
        )
        self._taken[number] = place
        return place

    def free(self, number: int) -> Place:
        """The place that the trial had."""
        return self._taken.pop(number)

    @property
    def extra(self) -> int:
        """Places that trials take beside one each, because of larger shares."""
        return sum(place.slots - 1 for place in self._taken.values())
