"""KerasTuner's Hyperband on a recorded table: brackets of random configurations, of which the best third goes on.

The rules are those of its documentation and its oracle (keras-team/keras-tuner, `tuners/hyperband.py`) with a factor of
3, iterated until the time is up: a bracket's round is filled with the best of the round before as soon as more of those
have ended than will be thrown out. A model that goes on is built anew and continues from its weights. KerasTuner has no
patience of its own.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .draw import Draw
from .table import Table
from .virtual_search import BETWEEN_TRIALS_S, History, Seen, building_s, epoch_seconds

_FACTOR = 3


@dataclass
class _Run:
    """A model's stay in one round of a bracket."""

    trial: int  # the model's
    configuration: int
    epochs_before: int
    epochs: int  # until which it trains
    score: float = -math.inf
    has_ended: bool = False
    goes_on: bool = False


@dataclass
class _Bracket:
    number: int
    rounds: list[list[_Run]] = field(default_factory=list)


class Brackets:
    """Decides which model trains next, and for how many epochs."""

    def __init__(self, max_epochs: int, configurations: Iterator[int]) -> None:
        self._max_epochs = max_epochs
        self._configurations = configurations
        self._n_trials = 0
        # Bracket k begins with 1 / 3^k of the epochs.
        self._largest = math.floor(math.log(max_epochs, _FACTOR) + 1e-9)
        self._brackets: list[_Bracket] = []
        self._number = self._largest

    def next_run(self) -> _Run:
        """A new model, or the best of a round that may go on.

        Raises:
            StopIteration: no configuration is left.
        """
        for bracket in self._brackets:
            if len(bracket.rounds[0]) < self._size(bracket, 0):
                return self._new_model(bracket)
            for place in range(1, len(bracket.rounds)):
                best = self._promoted(bracket, place)
                if best is not None:
                    return best
        bracket = _Bracket(self._number, [[] for _ in range(self._number + 1)])
        self._brackets.append(bracket)
        self._number = self._number - 1 if self._number else self._largest
        return self._new_model(bracket)

    def _promoted(self, bracket: _Bracket, place: int) -> _Run | None:
        before, now = bracket.rounds[place - 1], bracket.rounds[place]
        waiting = [run for run in before if run.has_ended and not run.goes_on]
        thrown_out = self._size(bracket, place - 1) - self._size(bracket, place)
        if len(now) == self._size(bracket, place) or len(waiting) <= thrown_out:
            return None
        best = max(waiting, key=lambda run: run.score)
        best.goes_on = True
        epochs = self._epochs(bracket, place)
        now.append(_Run(best.trial, best.configuration, best.epochs, epochs, best.score))
        return now[-1]

    def _new_model(self, bracket: _Bracket) -> _Run:
        run = _Run(self._n_trials, next(self._configurations), 0, self._epochs(bracket, 0))
        self._n_trials += 1
        bracket.rounds[0].append(run)
        return run

    def _size(self, bracket: _Bracket, place: int) -> int:
        last = math.ceil(1 + math.log(self._max_epochs, _FACTOR) - 1e-9) / (bracket.number + 1)
        return math.ceil(last * _FACTOR ** (bracket.number - place))

    def _epochs(self, bracket: _Bracket, place: int) -> int:
        return math.ceil(self._max_epochs / _FACTOR ** (bracket.number - place))


def replay_hyperband(
    table: Table, draw: Draw, *, workers: int, is_over: Callable[[History, float], bool]
) -> History:
    """Searches until `is_over`, or no configuration is left; see `virtual_search.replay`."""
    brackets = Brackets(len(table.epoch_points), map(int, draw.order))
    history = History()
    seconds = epoch_seconds(table, draw)
    queue: list[tuple[float, int, int, _Run]] = []  # when, place in line, epoch from 1, the run
    running, line, now_s = 0, 0, 0.0
    while True:
        while running < workers and not history.ran_out:
            try:
                run = brackets.next_run()
            except StopIteration:
                history.ran_out = True
                break
            running += 1
            line += 1
            begun_s = now_s + BETWEEN_TRIALS_S + building_s(table, draw, run.configuration)
            epoch = run.epochs_before + 1
            ends_s = begun_s + seconds[run.configuration][epoch - 1]
            heapq.heappush(queue, (ends_s, line, epoch, run))
        if not queue or is_over(history, queue[0][0]):
            break
        now_s, place, epoch, run = heapq.heappop(queue)
        point = table.epoch_points[epoch - 1]
        history.seen.append(Seen(now_s, run.trial, run.configuration, point))
        run.score = max(run.score, float(draw.validation_accuracy[run.configuration, point]))
        if epoch < run.epochs:
            ends_s = now_s + seconds[run.configuration][epoch]
            heapq.heappush(queue, (ends_s, place, epoch + 1, run))
            continue
        run.has_ended = True
        running -= 1
        history.ended_s.append(now_s)
        history.ended.add(run.trial)
    history.seconds = queue[0][0] if queue else now_s
    return history
