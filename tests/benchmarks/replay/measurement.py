"""What all arms reached under the same chance, and how their outcomes compare."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from .arms import RANDOM, Arm
from .comparison import Interval, MeanCourse, gain
from .course import Course
from .draw import Draw
from .outcomes import KEPT_COUNT, SINGLE
from .starters import ranked
from .table import Table
from .virtual_search import History


@dataclass(frozen=True)
class Result:
    """One arm's outcome against another's at one moment, when random search has ended `after` whole trainings."""

    arm: str
    outcome: str
    against: str  # an arm
    its_outcome: str
    after: int
    target: float  # its mean
    factor: Interval
    least_factor: float  # that could be seen
    gain: Interval


@dataclass(frozen=True)
class Trained:
    """What one replay of an arm trained.

    Args:
        lost: of the best five trials, had all that ended trained to their ends, those that were stopped before and are
            not among the best five.
        best_tried: how many of the table's best tenth of configurations it tried, see `starters.ranked`.
        snapping: the mean of `History.snapping`; None where nothing was rounded.
    """

    ended: int
    pruned: int
    lost: int
    best_tried: int
    snapping: float | None
    ran_out: bool


@dataclass(frozen=True, eq=False)
class ArmMeasured:
    """One arm's replays.

    Args:
        of_outcome: by the outcome's name, its course in every replay.
        end_s: up to which these are known.
    """

    arm: Arm
    trained: Sequence[Trained]
    of_outcome: Mapping[str, Sequence[Course]]
    end_s: float

    def course(self, outcome: str) -> MeanCourse:
        """An outcome's mean over the replays."""
        return _mean_course(self, outcome)


@lru_cache(maxsize=32)  # of a thousand replays one has 4 MB, and all arms have hundreds of outcomes
def _mean_course(measured: ArmMeasured, outcome: str) -> MeanCourse:
    return MeanCourse(measured.of_outcome[outcome], measured.end_s)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The replays of one table and number of workers.

    Args:
        moments_s: of each number of whole trainings, when random search had them on average.
        arms: by name.
    """

    moments_s: Mapping[int, float]
    end_s: float
    arms: Mapping[str, ArmMeasured]

    def compare(
        self, arm: str, outcome: str, after: int, *, against: str = RANDOM.name, its: str = SINGLE
    ) -> Result:
        """An arm's outcome against that of another, when random search has ended so many whole trainings."""
        moment_s = self.moments_s[after]
        ours = self.arms[arm].course(outcome)
        target = self.arms[against].course(its).at(moment_s)
        return Result(
            arm=arm,
            outcome=outcome,
            against=against,
            its_outcome=its,
            after=after,
            target=float(target.mean()),
            factor=ours.factor(target, moment_s),
            least_factor=moment_s / self.end_s,
            gain=gain(ours.at(moment_s), target),
        )

    def results(self) -> Iterator[Result]:
        """Every outcome against random search's best single model."""
        for name, measured in self.arms.items():
            for outcome in measured.of_outcome:
                for after in self.moments_s:
                    yield self.compare(name, outcome, after)

    def best_peer(self, after: int) -> str | None:
        """The arm of a peer whose best single model is best at that moment; None where none was replayed."""
        peers = [name for name, measured in self.arms.items() if measured.arm.is_peer]

        def outcome(name: str) -> float:
            return float(self.arms[name].course(SINGLE).at(self.moments_s[after]).mean())

        return max(peers, key=outcome, default=None)


def trained_in(table: Table, draw: Draw, history: History) -> Trained:
    """The figures of one replay."""
    return Trained(
        ended=len(history.ended_s),
        pruned=history.pruned,
        lost=_lost_members(table, draw, history),
        best_tried=len(best_tenth(table) & {seen.configuration for seen in history.seen}),
        snapping=fmean(history.snapping) if history.snapping else None,
        ran_out=history.ran_out,
    )


@lru_cache
def best_tenth(table: Table) -> frozenset[int]:
    """The table's best configurations, at least one."""
    return frozenset(ranked(table)[: math.ceil(table.n_configurations / 10)])


def _lost_members(table: Table, draw: Draw, history: History) -> int:
    """See `Trained.lost`."""
    scores: dict[int, float] = {}
    configurations: dict[int, int] = {}
    for seen in history.seen:
        if seen.trial in history.ended:
            score = float(draw.validation_accuracy[seen.configuration, seen.point])
            scores[seen.trial] = max(score, scores.get(seen.trial, 0.0))
            configurations[seen.trial] = seen.configuration
    whole = draw.validation_accuracy[:, list(table.epoch_points)].max(axis=1)

    def best(of: Mapping[int, float]) -> set[int]:
        return set(sorted(of, key=lambda trial: (-of[trial], trial))[:KEPT_COUNT])

    wanted = best({trial: float(whole[each]) for trial, each in configurations.items()})
    return len(wanted - best(scores))
