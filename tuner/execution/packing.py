"""How trials share cards: how many run on each at once, what each asks Ray for, and how much memory it may take.

One formula decides all of it: a process takes its backend's memory, up to a limit, and a context beside that (CUDA's,
cuDNN's and cuBLAS' own), which no limit counts. Both are measured on the card, see `tuner.execution.gpus`. Must not
import Ray.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.errors import ConfigError
from tuner.training.gpu_memory import CardFigures

# The resources of a node by Ray's names, such as CPU and GPU.
Resources = Mapping[str, float]

# A limit over the measured peak, for the gaps between an allocator's blocks.
_MARGIN = 1.25
_MARGIN_MB = 256
# Of a card, left to nobody: contexts grow a little, and MPS has a process of its own there.
_SPARE = 0.05
_LEAST_SPARE_MB = 500.0
MOST_CLIENTS_OF_MPS = 48  # its own limit on current cards
# Without MPS, processes take turns on a card: more of them than this are no faster together.
MOST_WITHOUT_MPS = 4
_LEAST_LIMIT_MB = 64  # no model trains in less
_ROUNDING = 1e-9  # a third of a card, three times, is one
_KIND = "accelerator_type:"
_OF_A_KIND = 0.001  # of the node's resource of that name, as Ray itself asks for it


@dataclass(frozen=True)
class Share:
    """The part of a card that each trial has."""

    gpus: float  # as Ray counts: 0 without a card, 1 of a whole one
    limit_mb: int | None = None  # of the backend's memory; None where it takes what it needs

    @property
    def is_part(self) -> bool:
        """Whether others may share the card."""
        return 0 < self.gpus < 1

    def fit_on(self, gpus: float) -> int:
        """How many fit on a node's cards. The parts of a trial all come from one card."""
        if self.gpus >= 1:
            return int(gpus / self.gpus + _ROUNDING)
        whole, rest = divmod(gpus, 1)
        per_card, on_rest = int(1 / self.gpus + _ROUNDING), int(rest / self.gpus + _ROUNDING)
        return int(whole) * per_card + on_rest


@dataclass(frozen=True)
class Placement:
    """A trial's place: the resources that it asks Ray for, and its limit."""

    resources: Mapping[str, float]
    limit_mb: int | None = None
    kind: str | None = None  # of card; None where there is one kind only, or none
    slots: int = 1  # places of ordinary trials that it takes
    is_shared: bool = False  # with other trials, and not enlarged for that yet
    lowered: int = 0  # how often the packing had been lowered by then

    @property
    def gpus(self) -> float:
        """Of a card, 1 of a whole one; 0 without one."""
        return self.resources["GPU"]


# -- arithmetic -----------------------------------------------------------------------------------


def usable_mb(figures: CardFigures) -> float:
    """Memory of a card for trials: what nobody else holds, less something to spare."""
    return figures.free_mb - max(_LEAST_SPARE_MB, _SPARE * figures.total_mb)


def trials_per_card(
    figures: CardFigures, *, cpus: float, host_mb: float, host_mb_per_trial: float
) -> int:
    """Trials that one card holds, at least one.

    Args:
        cpus: trials that the CPUs per card can feed.
        host_mb: memory of the machine per card.
        host_mb_per_trial: what a trial's process takes of it.
    """
    by_memory = usable_mb(figures) / (limit_at_auto_mb(figures) + figures.context_mb)
    by_card = MOST_CLIENTS_OF_MPS if figures.has_mps else MOST_WITHOUT_MPS
    return max(1, int(min(by_memory, by_card, cpus, host_mb / host_mb_per_trial)))


def share_of_one(trials: int) -> float:
    """The share of each of so many trials, rounded down to four decimals, which is all that Ray keeps."""
    return math.floor(10_000 / trials) / 10_000


def limit_mb(figures: CardFigures, gpus: float) -> int:
    """The most that a backend may take in a process that has this part of the card; below 1 where nothing is left."""
    return int(usable_mb(figures) * gpus - figures.context_mb)


def limit_at_auto_mb(figures: CardFigures) -> int:
    """The most that a backend needs: the measured peak and a margin."""
    return int(figures.peak_mb * _MARGIN) + _MARGIN_MB


def fewer(trials: int) -> int:
    """Trials per card after memory ran out with `trials` of them."""
    return max(1, min(trials - 1, trials * 2 // 3))


def auto_share(figures: CardFigures | None, trials: int, *, lowered: int = 0) -> Share:
    """The share where the measured memory decides: its peak and a margin, once lowered all that the card can give.

    Args:
        figures: None of trials that need no memory.
    """
    for _ in range(lowered):
        trials = fewer(trials)
    share = _share(figures, share_of_one(trials))
    if figures is None or share.limit_mb is None or lowered:
        return share
    return Share(share.gpus, min(share.limit_mb, limit_at_auto_mb(figures)))


def given_share(figures: CardFigures | None, gpus: float, *, lowered: int = 0) -> Share:
    """The share where a person gave the number.

    Raises:
        ConfigError: a process needs more than that.
    """
    for _ in range(lowered):
        gpus = max(gpus, share_of_one(fewer(int(1 / gpus + _ROUNDING))))
    share = _share(figures, gpus)
    if figures is not None and share.limit_mb is not None and share.limit_mb < _LEAST_LIMIT_MB:
        raise ConfigError(
            f"--gpus-per-trial {gpus:g}: of a {figures.card} with {figures.free_mb} MB free that leaves nothing "
            f"beside the {figures.context_mb} MB that every process takes for itself; write a larger number, or auto"
        )
    return share


def larger_share(figures: CardFigures | None, share: Share) -> Share:
    """Twice the share, for a trial that ran out of memory."""
    return _share(figures, min(1.0, math.floor(20_000 * share.gpus + _ROUNDING) / 10_000))


def _share(figures: CardFigures | None, gpus: float) -> Share:
    """A share with all the memory that belongs to it; a whole card is not limited."""
    return Share(gpus, limit_mb(figures, gpus) if figures is not None and gpus < 1 else None)


def kind_of(node: Resources) -> str | None:
    """The kind of a node's cards by Ray's name, such as T4; None where Ray does not tell."""
    return next((name.removeprefix(_KIND) for name in node if name.startswith(_KIND)), None)


# -- a search's packing ---------------------------------------------------------------------------


@dataclass(frozen=True)
class CardKind:
    """A kind of card in the cluster, as it was measured."""

    name: str | None  # by Ray's name; None where it does not tell
    figures: CardFigures | None  # None of trials that need no memory
    most: int  # trials per card, where `auto` decides


class Packing:
    """How the trials of one search share the cards of its cluster.

    Args:
        cpus: of each trial.
        gpus: of each trial, as the person asked for them.
        kinds: the kinds of cards, measured; none where trials have whole cards, or no card.
        host_mb: memory of the machine that each trial's process takes.
        lowered: how often the packing was lowered before.
    """

    def __init__(
        self,
        cpus: float,
        gpus: float | Literal["auto"] = 0.0,
        kinds: Sequence[CardKind] = (),
        *,
        host_mb: float = 1.0,
        lowered: int = 0,
    ) -> None:
        self.host_mb = host_mb
        self._cpus = cpus
        self._gpus = gpus
        self._kinds = {kind.name: kind for kind in kinds}
        self.unknown_kinds: set[str] = set()  # of cards that joined later
        self.lowered = lowered
        self._divide()

    def lower(self) -> None:
        """Puts fewer trials on each card from now on, with more memory each."""
        self.lowered += 1
        self._divide()

    @property
    def is_divided(self) -> bool:
        """Whether trials share cards."""
        return any(share.is_part for share in self._shares.values())

    @property
    def description(self) -> str:
        """Trials per card, in words."""
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
        running: Iterable[Placement] = (),
        nodes: Callable[[], Iterable[Resources]] = tuple,
        *,
        coming: Collection[str | None] = (),
        is_larger: bool = False,
    ) -> Placement:
        """A place for the next trial; of several kinds of cards, on the one that has most room.

        Its request names the kind only where it could get another: autoscalers may not know the name.

        Args:
            running: the places that are taken.
            nodes: reads those that live.
            coming: the kinds of cards that an autoscaler starts nodes with, where it knows them.
            is_larger: for a trial that ran out of memory: twice the share.
        """
        kind, has_others = self._choose_kind(running, nodes, coming)
        share = self._shares[kind]
        slots = 1
        is_shared = share.is_part and not is_larger
        if is_larger and share.is_part:
            larger = larger_share(self._kinds[kind].figures, share)
            slots = min(share.fit_on(1), math.ceil(larger.gpus / share.gpus - _ROUNDING))
            share = larger
        resources = {"CPU": self._cpus, "GPU": share.gpus}
        if kind is not None and has_others:
            resources[f"{_KIND}{kind}"] = _OF_A_KIND
        return Placement(
            resources,
            share.limit_mb,
            kind,
            slots=slots,
            is_shared=is_shared,
            lowered=self.lowered,
        )

    # -- inside -------------------------------------------------------------------------------

    def _divide(self) -> None:
        self._shares: dict[str | None, Share]
        if self._gpus == "auto":
            self._shares = {
                name: auto_share(kind.figures, kind.most, lowered=self.lowered)
                for name, kind in self._kinds.items()
            }
        elif self._kinds:
            self._shares = {
                name: given_share(kind.figures, self._gpus, lowered=self.lowered)
                for name, kind in self._kinds.items()
            }
        else:
            self._shares = {None: Share(self._gpus)}  # none, or whole cards

    def _share_on(self, node: Resources) -> Share | None:
        """The share of a trial on this node; None on cards of a kind that was not measured."""
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
        running: Iterable[Placement],
        nodes: Callable[[], Iterable[Resources]],
        coming: Collection[str | None],
    ) -> tuple[str | None, bool]:
        """The kind of card for the next trial, and whether there are others, or may be."""
        if len(self._shares) == 1 and not self.unknown_kinds:
            return next(iter(self._shares)), False
        room: Counter[str | None] = Counter()
        present = set(coming) - {None}
        for node in nodes():
            if node.get("GPU"):
                present.add(kind := kind_of(node))
                room[kind] += self.fit(node)
        for placement in running:
            room[placement.kind] -= placement.slots
        # Where none is left, the largest share fits on whichever comes back first.
        chosen = max(
            [kind for kind in self._shares if kind in present] or self._shares,
            key=lambda kind: (room[kind] if present else 0, self._shares[kind].gpus),
        )
        return chosen, bool(present - {chosen})


class Places:
    """The places of the trials that run."""

    def __init__(
        self,
        packing: Packing,
        nodes: Callable[[], Sequence[Resources]],
        coming: Collection[str | None] = (),
    ) -> None:
        self.packing = packing
        self._nodes = nodes
        self._coming = coming
        self._taken: dict[int, Placement] = {}

    def take(self, number: int, *, is_larger: bool = False) -> Placement:
        """A place for trial `number`, until it is freed."""
        placement = self.packing.place(
            self._taken.values(), self._nodes, coming=self._coming, is_larger=is_larger
        )
        self._taken[number] = placement
        return placement

    def free(self, number: int) -> Placement:
        """The place that the trial had."""
        return self._taken.pop(number)

    @property
    def extra(self) -> int:
        """Places that trials take beside one each, because of larger shares."""
        return sum(place.slots - 1 for place in self._taken.values())
