"""A whole search in milliseconds: the product's own session and study, recorded trainings, a clock that jumps.

Workers are an event queue: each trial's next epoch ends after its recorded seconds. Nothing else takes time, but what
lies between two trials of one worker. The study lies in memory.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import optuna

from tuner.run.attributes import Attribute
from tuner.run.events import SilentListener
from tuner.run.journal import SEARCH
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.session import SearchSession
from tuner.settings.config import SearchConfig
from tuner.training.spec import EpochResult, TrialSpec

from .draw import Draw
from .table import Table
from .tabular import TabularStudy

BETWEEN_TRIALS_S = 0.03  # measured: tests/benchmarks/between_trials.py


@dataclass(frozen=True)
class Seen:
    """One epoch of one trial, when its scores are known."""

    at_s: float
    trial: int
    configuration: int
    point: int


@dataclass
class History:
    """What a replayed search trained, in the order in which it became known."""

    seen: list[Seen] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)  # when each trial that ended did
    ended: set[int] = field(default_factory=set)  # these trials
    pruned: int = 0
    seconds: float = 0.0  # where the replay stopped
    snapping: list[float] = field(default_factory=list)  # see `TabularStudy`
    ran_out: bool = False  # of recorded configurations


@dataclass
class VirtualClock:
    """Seconds since the replay's start."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def study_in_memory(config: SearchConfig) -> optuna.Study:
    """A study of the search, empty; made as `create_or_open_study` makes one in a journal."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=SEARCH, directions=config.compared_by.directions)
    study.set_user_attr(Attribute.SPACE, config.space.to_mapping())
    return study


def replay(
    study: TabularStudy,
    config: SearchConfig,
    table: Table,
    draw: Draw,
    *,
    workers: int,
    is_over: Callable[[History, float], bool],
) -> History:
    """Searches until `is_over`, which gets the history and the time of the next event, or no configuration is left."""
    clock = VirtualClock()
    session = SearchSession(
        study,
        config,
        workers=lambda: workers,
        listener=SilentListener(),
        clock=clock,
        wall_clock=clock,
    )
    history = History()
    queue: list[tuple[float, int, int]] = []  # when, trial, epoch from 1
    trials: dict[int, tuple[TrialSpec, list[float]]] = {}  # with the losses of their epochs so far

    def start() -> None:
        spec = session.start_trial()
        configuration = study.chosen[spec.number]
        session.begin_trial(spec.number)
        trials[spec.number] = (spec, [])
        begun = clock() + BETWEEN_TRIALS_S + building_s(table, draw, configuration)
        heapq.heappush(queue, (begun + epoch_s(table, draw, configuration, 1), spec.number, 1))

    while True:
        while study.has_more and session.has_budget and session.has_room:
            start()
        if not queue or is_over(history, queue[0][0]):
            break
        clock.now_s, number, epoch = heapq.heappop(queue)
        configuration = study.chosen[number]
        point = table.epoch_points[epoch - 1]
        history.seen.append(Seen(clock(), number, configuration, point))
        if epoch == 1:
            session.record_facts(number, _facts(table, draw, configuration))
        result = _result(table, draw, configuration, epoch)
        spec, val_losses = trials[number]
        val_losses.append(result.val_loss)
        if session.end_epoch(number, result):
            session.end_trial(number, TrialStatus.PRUNED)
            history.pruned += 1
        elif spec.is_over(val_losses):
            session.end_trial(number, TrialStatus.COMPLETE)
        else:
            seconds = epoch_s(table, draw, configuration, epoch + 1)
            heapq.heappush(queue, (clock() + seconds, number, epoch + 1))
            continue
        history.ended_s.append(clock())
        history.ended.add(number)
    history.seconds = queue[0][0] if queue else clock()
    history.snapping = study.snapping
    history.ran_out = not study.has_more
    session.close(SessionEnd.BUDGET_USED)
    return history


def epoch_s(table: Table, draw: Draw, configuration: int, epoch: int) -> float:
    """How long an epoch takes: its training and its evaluation on the replay's validation rows."""
    seed = draw.seeds[configuration]
    training = table.training_s[configuration, seed]
    point = table.epoch_points[epoch - 1]
    before = training[table.epoch_points[epoch - 2]] if epoch > 1 else 0.0
    share = len(draw.validation) / table.n_pool
    return float(training[point] - before + share * table.evaluation_s[configuration, seed, point])


def building_s(table: Table, draw: Draw, configuration: int) -> float:
    """How long it takes until a trial's first step."""
    return float(table.building_s[configuration, draw.seeds[configuration]])


def _facts(table: Table, draw: Draw, configuration: int) -> TrialFacts:
    return TrialFacts(
        seed=int(draw.seeds[configuration]),
        host="replay",
        device="cpu",
        weights=int(table.weights[configuration]),
    )


def _result(table: Table, draw: Draw, configuration: int, epoch: int) -> EpochResult:
    """The worker's report. Figures of the training batches are not recorded; nothing decides by them."""
    seed, point = draw.seeds[configuration], table.epoch_points[epoch - 1]
    accuracy = float(draw.validation_accuracy[configuration, point])
    loss = float(table.loss[configuration, seed, point])
    return EpochResult(
        epoch=epoch,
        loss=loss,
        accuracy=accuracy,
        val_loss=loss,
        val_accuracy=accuracy,
        val_f1=accuracy,
        seconds=epoch_s(table, draw, configuration, epoch),
    )
