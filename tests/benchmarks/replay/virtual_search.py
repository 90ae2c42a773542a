"""Searches on a virtual clock: recorded trainings, and an event queue of workers in place of processes.

Each trial's next epoch ends after its recorded seconds. Nothing else takes time, but what lies between two trials of
one worker.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from .draw import Draw
from .table import Table

BETWEEN_TRIALS_S = 0.03  # measured: tests/benchmarks/between_trials.py


class Seen(NamedTuple):
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
    snapping: list[float] = field(default_factory=list)  # see `Chooser`
    ran_out: bool = False  # of recorded configurations


@dataclass
class VirtualClock:
    """Seconds since the replay's start."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class Search(Protocol):
    """What decides in a replayed search."""

    clock: VirtualClock

    @property
    def has_more(self) -> bool:
        """Whether any recorded configuration is left."""

    @property
    def has_room(self) -> bool:
        """Whether another trial may start now."""

    @property
    def snapping(self) -> list[float]:
        """See `Chooser`."""

    def start_trial(self) -> tuple[int, int]:
        """The number and the configuration of the next trial."""

    def end_epoch(self, trial: int, epoch: int, accuracy: float, loss: float) -> bool:
        """Takes a trial's validation scores after an epoch, from 1; whether it is pruned."""

    def is_over(self, trial: int, losses: list[float]) -> bool:
        """Whether a trial has trained to its end, by the losses of its epochs so far."""

    def end_trial(self, trial: int, *, is_pruned: bool) -> None:
        """Ends a trial."""

    def close(self) -> None:
        """Ends the search."""


def replay(
    search: Search, table: Table, draw: Draw, *, is_over: Callable[[History, float], bool]
) -> History:
    """Searches until `is_over`, which gets the history and the time of the next event, or no configuration is left."""
    clock = search.clock
    history = History()
    queue: list[tuple[float, int, int]] = []  # when, trial, epoch from 1
    running: dict[int, tuple[int, list[float]]] = {}  # the configuration, its losses so far
    epochs = list(table.epoch_points)
    accuracies = draw.validation_accuracy[:, epochs].tolist()
    losses = table.loss[np.arange(table.n_configurations), draw.seeds][:, epochs].tolist()
    seconds = epoch_seconds(table, draw)

    while True:
        while search.has_more and search.has_room:
            number, configuration = search.start_trial()
            running[number] = (configuration, [])
            begun = clock() + BETWEEN_TRIALS_S + building_s(table, draw, configuration)
            heapq.heappush(queue, (begun + seconds[configuration][0], number, 1))
        if not queue or is_over(history, queue[0][0]):
            break
        clock.now_s, number, epoch = heapq.heappop(queue)
        configuration, so_far = running[number]
        history.seen.append(Seen(clock.now_s, number, configuration, epochs[epoch - 1]))
        loss = losses[configuration][epoch - 1]
        so_far.append(loss)
        accuracy = accuracies[configuration][epoch - 1]
        is_pruned = search.end_epoch(number, epoch, accuracy, loss)
        if not is_pruned and not search.is_over(number, so_far):
            next_s = clock.now_s + seconds[configuration][epoch]
            heapq.heappush(queue, (next_s, number, epoch + 1))
            continue
        search.end_trial(number, is_pruned=is_pruned)
        history.pruned += is_pruned
        history.ended_s.append(clock.now_s)
        history.ended.add(number)
    history.seconds = queue[0][0] if queue else clock.now_s
    history.snapping = search.snapping
    history.ran_out = not search.has_more
    search.close()
    return history


def epoch_seconds(table: Table, draw: Draw) -> list[list[float]]:
    """How long each configuration's epochs take: training, and evaluation on the replay's validation rows."""
    points = list(table.epoch_points)
    every = np.arange(table.n_configurations)
    training = np.diff(table.training_s[every, draw.seeds][:, points], axis=1, prepend=0.0)
    share = len(draw.validation) / table.n_pool
    evaluation = table.evaluation_s[every, draw.seeds][:, points]
    seconds: list[list[float]] = (training + share * evaluation).tolist()
    return seconds


def building_s(table: Table, draw: Draw, configuration: int) -> float:
    """How long it takes until a trial's first step."""
    return float(table.building_s[configuration, draw.seeds[configuration]])
